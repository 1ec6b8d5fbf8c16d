//! How a file declares the statements of its requests: by name, so that none is left out of the list in
//! [`super::request_statements`]. A test asks SQLite how it would run each.

/// Constants for the statements of a file, and a list of them.
macro_rules! statements {
    ($($name:ident = $text:expr;)+) => {
        $(const $name: &str = $text;)+

        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(super) use statements;
