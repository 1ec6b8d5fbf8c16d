//! Who is asking: passwords and tokens. Knows users, but neither HTTP nor SQL: whether an
//! account exists is the store's answer.

mod algorithm;
mod blocklist;
mod hashing;
mod key_pair;
mod keys;
mod password;
mod provider;
mod refresh;
mod rules;
mod signatures;
mod stored_hash;
#[cfg(test)]
mod tests;
mod token;
mod unanswered;

pub use algorithm::Algorithm;
pub use hashing::HashingError;
pub use key_pair::{KeyPair, PublicKey, UnusablePair};
pub use keys::Keys;
pub use password::{Passwords, Verdict};
pub use refresh::{RefreshSecrets, draw_salt};
pub use rules::{RefusedPassword, accept_password, fold_case};
pub use signatures::Numbers;
pub use stored_hash::Strength;
pub use token::{InvalidToken, TokenError, Tokens};
pub use unanswered::Unanswered;
