//! How a file declares the statements of its requests: by name. A test checks the plan of each
//! statement in [`super::request_statements`].

/// Declares the statements of a file, and a list of them.
macro_rules! statements {
    ($($name:ident = $text:expr;)+) => {
        $(pub(super) const $name: &str = $text;)+

        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(super) use statements;
