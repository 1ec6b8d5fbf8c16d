//! The statements of requests, by name. Each file that answers requests declares its own with
//! [`statements!`], so that none can be forgotten where all of them are looked at: a test asks
//! SQLite how it would run each.

use super::{events, login_failures, posts, search, sessions, users, votes};

/// Constants for the statements of a file, and a list of them.
macro_rules! statements {
    ($($name:ident = $text:expr;)+) => {
        $(const $name: &str = $text;)+

        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(super) use statements;

/// Every statement on the path of a request: name and text.
pub fn request_statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = [
        users::STATEMENTS,
        sessions::STATEMENTS,
        events::STATEMENTS,
        login_failures::STATEMENTS,
        posts::STATEMENTS,
        search::STATEMENTS,
        votes::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}
