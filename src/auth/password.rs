//! Passwords: hashing new ones, verifying them against stored ones. Which passwords are good
//! enough is for `rules` to say.

use std::num::NonZeroUsize;

use argon2::Block;
use secrecy::{ExposeSecret as _, SecretString};

use super::hashing::{HashingError, HashingPool, start_pool};
use super::stored_hash::{Argon2Hash, Argon2Params, StoredHash};
use crate::domain::user::PasswordHash;

/// The longest password there is, in characters: what the reference's hasher takes.
pub(super) const MAX_PASSWORD_LENGTH: usize = 4096;

const SALT_LENGTH: usize = 16;
const OUTPUT_LENGTH: usize = 32;

/// What a password was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordCheck {
    Mismatch,
    Match,
    /// Match, and the stored hash is weaker than what new ones get: here is a better one.
    NeedsRehash(PasswordHash),
}

/// Hashes and verifies passwords, on threads of its own.
pub struct Passwords {
    pool: HashingPool,
    params: Argon2Params,
    /// What an unknown account's password is checked against, so that the check takes the same
    /// work: of the strength of new hashes, and of no password, its bytes being random.
    dummy_hash: PasswordHash,
}

impl Passwords {
    /// # Errors
    /// If the threads cannot be started or the system gives no random bytes.
    pub fn new(params: Argon2Params, threads: NonZeroUsize) -> std::io::Result<Self> {
        let hash = Argon2Hash { output: random::<OUTPUT_LENGTH>()?.to_vec(), ..unhashed(params)? };
        Ok(Self {
            pool: start_pool(threads)?,
            params,
            dummy_hash: PasswordHash::new(hash.to_phc()),
        })
    }

    /// The password's hash, with a new salt.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once when too many wait already.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, HashingError> {
        let params = self.params;
        self.pool.run(move |memory| hash(params, &password, memory)).await?
    }

    /// Whether the password belongs to the stored hash. `None` is an account that does not
    /// exist: always wrong, after the work of a real one. So is a stored hash that cannot be
    /// used, which is logged.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once when too many wait already.
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> Result<PasswordCheck, HashingError> {
        // Such a password can have no account: sign-up refuses it.
        if password.expose_secret().chars().count() > MAX_PASSWORD_LENGTH {
            return Ok(PasswordCheck::Mismatch);
        }
        let params = self.params;
        let dummy_hash = self.dummy_hash.clone();
        self.pool
            .run(move |memory| {
                // No account takes the way of one to its end, and not only its hash.
                let stored = stored.as_ref().unwrap_or(&dummy_hash);
                let verdict = verify(params, &password, stored, memory)?;
                if verdict != PasswordCheck::Mismatch || has_params(stored, params) {
                    return Ok(verdict);
                }
                // A hash of another price: on top of it the work of one that is as new ones are.
                verify(params, &password, &dummy_hash, memory).map(|_| PasswordCheck::Mismatch)
            })
            .await?
    }
}

fn hash(
    params: Argon2Params,
    password: &SecretString,
    memory: &mut Vec<Block>,
) -> Result<PasswordHash, HashingError> {
    let mut hash = unhashed(params).map_err(|_| HashingError::Failed)?;
    let mut output = vec![0; OUTPUT_LENGTH];
    hash.compute(password.expose_secret().as_bytes(), &mut output, memory)
        .map_err(|_| HashingError::Failed)?;
    hash.output = output;
    Ok(PasswordHash::new(hash.to_phc()))
}

/// Whether checking the hash takes the work of checking a new one.
fn has_params(stored: &PasswordHash, params: Argon2Params) -> bool {
    StoredHash::parse(stored.as_str()).is_ok_and(|stored| stored.has_params(params))
}

fn verify(
    params: Argon2Params,
    password: &SecretString,
    stored: &PasswordHash,
    memory: &mut Vec<Block>,
) -> Result<PasswordCheck, HashingError> {
    let bytes = password.expose_secret().as_bytes();
    let stored = StoredHash::parse(stored.as_str());
    let is_right =
        stored.as_ref().map_err(|error| *error).and_then(|stored| stored.verify(bytes, memory));
    match (is_right, stored) {
        (Ok(true), Ok(stored))
            if stored.is_weaker_than(params) && stored.covers_password(bytes) =>
        {
            Ok(PasswordCheck::NeedsRehash(hash(params, password, memory)?))
        }
        (Ok(true), _) => Ok(PasswordCheck::Match),
        (Ok(false), _) => Ok(PasswordCheck::Mismatch),
        (Err(unusable), _) => {
            tracing::error!(error = %unusable, "a login failed for a damaged account");
            Ok(PasswordCheck::Mismatch)
        }
    }
}

/// A hash of the given strength with a new salt and no output yet.
fn unhashed(params: Argon2Params) -> std::io::Result<Argon2Hash> {
    Ok(Argon2Hash {
        algorithm: argon2::Algorithm::Argon2id,
        version: argon2::Version::V0x13,
        params,
        salt: random::<SALT_LENGTH>()?.to_vec(),
        output: Vec::new(),
    })
}

pub(super) fn random<const LENGTH: usize>() -> std::io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Argon2Params, OUTPUT_LENGTH, PasswordHash, has_params, unhashed};

    /// Whoever gives a wrong password waits for one hash of this price, and for no second.
    #[test]
    fn only_a_hash_of_the_same_price_takes_the_same_work() {
        let params = Argon2Params { memory_kib: 64, iterations: 2, parallelism: 1 };
        let of = |params: Argon2Params| {
            let hash = unhashed(params).unwrap();
            let hash = super::Argon2Hash { output: vec![7; OUTPUT_LENGTH], ..hash };
            PasswordHash::new(hash.to_phc())
        };
        assert!(has_params(&of(params), params));
        for other in [
            Argon2Params { memory_kib: 63, ..params },
            Argon2Params { memory_kib: 65, ..params },
            Argon2Params { iterations: 1, ..params },
            Argon2Params { memory_kib: 128, parallelism: 2, ..params },
        ] {
            assert!(!has_params(&of(other), params), "{other:?}");
        }
        for text in ["", "$argon2id$v=19", &format!("$2b$04${}", "a".repeat(53))] {
            assert!(!has_params(&PasswordHash::new(text.to_owned()), params), "{text}");
        }
    }
}
