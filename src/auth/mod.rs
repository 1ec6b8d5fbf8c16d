//! Passwords, access tokens, refresh tokens and signing keys.
//! Not here: whether an account exists and accepts a token, see `store`; HTTP, see `api`.

mod algorithm;
mod blocklist;
mod derived_key;
mod hashing;
mod key_pair;
mod keys;
mod mail_link;
mod password;
mod password_policy;
mod provider;
mod refresh;
mod secret_strength;
mod signatures;
mod stored_hash;
mod stream_ticket;
#[cfg(test)]
mod tests;
mod token;

pub use algorithm::Algorithm;
pub use derived_key::derive_key;
pub use hashing::HashingError;
pub use key_pair::{KeyPair, KeyPairError, PublicKey};
pub use keys::{Keys, TokenError};
pub use mail_link::{LinkPurpose, MailLinks, PresentedLink};
pub use password::{MAX_PASSWORD_LENGTH, PasswordCheck, Passwords};
pub use password_policy::{PasswordRejected, accept_password, fold_case};
pub use refresh::{RefreshSecrets, generate_salt};
pub use secret_strength::{WeakSecret, check_secret};
pub use signatures::JwkParams;
pub use stored_hash::Argon2Params;
pub use stream_ticket::TICKET_LIFETIME;
pub use token::{InvalidToken, Tokens, ValidToken};
