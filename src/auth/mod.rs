//! Who is asking: passwords and tokens. Knows users, but neither HTTP nor SQL: whether an
//! account exists is the store's answer.

mod blocklist;
mod hashing;
mod password;
mod provider;
mod stored_hash;
mod token;

pub use blocklist::is_common;
pub use hashing::HashingError;
pub use password::{MAXIMUM_PASSWORD_LENGTH, Passwords, Verdict};
pub use stored_hash::Strength;
pub use token::{Algorithm, InvalidToken, TokenError, Tokens};
