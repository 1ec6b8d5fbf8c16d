//! Who is asking: passwords and tokens. Knows users, but neither HTTP nor SQL: whether an
//! account exists is the store's answer.

mod blocklist;
mod hashing;
mod password;
mod provider;
mod refresh;
mod rules;
mod stored_hash;
#[cfg(test)]
mod tests;
mod token;

pub use hashing::HashingError;
pub use password::{Passwords, Verdict};
pub use refresh::{RefreshSecrets, draw_salt};
pub use rules::{RefusedPassword, accept_password};
pub use stored_hash::Strength;
pub use token::{Algorithm, InvalidToken, TokenError, Tokens};
