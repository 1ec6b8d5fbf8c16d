//! Hashes new passwords and verifies passwords against stored hashes.
//! Not here: which new passwords are accepted, see `password_policy.rs`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use argon2::Block;
use secrecy::{ExposeSecret as _, SecretString};

use super::hashing::{HashingError, HashingPool, capacity};
use super::stored_hash::{Argon2Hash, Argon2Params, StoredHash};
use crate::domain::user::PasswordHash;
use crate::metrics::Collect;

/// Maximum length of a password in characters, as in the hasher of the reference service.
pub const MAX_PASSWORD_LENGTH: usize = 4096;

const SALT_LENGTH: usize = 16;
const OUTPUT_LENGTH: usize = 32;

/// The result of verifying a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordCheck {
    Mismatch,
    Match,
    /// A match, but the stored hash is weaker than a new one. Contains the new hash.
    NeedsRehash(PasswordHash),
}

/// Hashes and verifies passwords on the hashing threads.
pub struct Passwords {
    pool: HashingPool,
    capacity: u32,
    params: Argon2Params,
    /// Verified if the account does not exist, so that timing does not reveal which accounts exist.
    /// It has the parameters of new hashes. Its output is random, so no password matches.
    dummy_hash: PasswordHash,
}

impl Passwords {
    /// Starts the hashing threads. `params` apply to new hashes.
    ///
    /// # Errors
    /// If a thread cannot be started, or the system provides no random bytes.
    pub fn new(params: Argon2Params, threads: NonZeroUsize) -> std::io::Result<Self> {
        let hash = Argon2Hash { output: random::<OUTPUT_LENGTH>()?.to_vec(), ..unhashed(params)? };
        Ok(Self {
            pool: HashingPool::start(threads)?,
            capacity: capacity(threads),
            params,
            dummy_hash: PasswordHash::new(hash.to_phc()),
        })
    }

    /// Returns how many passwords are hashed or queued at most.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the metrics of the hashing threads.
    #[must_use]
    pub fn metrics(&self) -> Arc<dyn Collect> {
        Arc::new(self.pool.clone())
    }

    /// Returns the number of passwords that wait for a hashing thread.
    #[must_use]
    pub fn queue_length(&self) -> usize {
        self.pool.queue_length()
    }

    /// Returns the hash of the password, with a new salt.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once if the queue is full.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, HashingError> {
        self.hash_while_holding(password, ()).await
    }

    /// Like [`Passwords::hash`]. Drops `permit` when the password has left the queue, which may be
    /// later than the returned future is dropped.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once if the queue is full.
    pub async fn hash_while_holding(
        &self,
        password: SecretString,
        permit: impl Send + 'static,
    ) -> Result<PasswordHash, HashingError> {
        let params = self.params;
        let job = move |memory: &mut Vec<Block>| {
            let _permit = permit;
            hash(params, &password, memory)
        };
        self.pool.run(job).await?
    }

    /// Compares the password with the stored hash. `None` means that the account does not exist:
    /// the result is a mismatch, after the same work as a real comparison. An unusable stored hash
    /// is logged and is a mismatch too.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once if the queue is full.
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> Result<PasswordCheck, HashingError> {
        self.verify_while_holding(password, stored, ()).await
    }

    /// Like [`Passwords::verify`]. Drops `permit` when the password has left the queue, which may
    /// be later than the returned future is dropped.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once if the queue is full.
    pub async fn verify_while_holding(
        &self,
        password: SecretString,
        stored: Option<PasswordHash>,
        permit: impl Send + 'static,
    ) -> Result<PasswordCheck, HashingError> {
        // No account has such a password, because sign-up rejects it.
        if password.expose_secret().chars().count() > MAX_PASSWORD_LENGTH {
            return Ok(PasswordCheck::Mismatch);
        }
        let params = self.params;
        let dummy_hash = self.dummy_hash.clone();
        self.pool
            .run(move |memory| {
                let _permit = permit;
                // The same code runs for a missing account, so timing reveals nothing.
                let stored = stored.as_ref().unwrap_or(&dummy_hash);
                let check = verify(params, &password, stored, memory)?;
                if check != PasswordCheck::Mismatch || has_params(stored, params) {
                    return Ok(check);
                }
                // The stored hash has other parameters, so it took more or less work. An additional
                // dummy hash ensures that a wrong password never takes less time than a missing
                // account.
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

/// Whether verifying the stored hash takes the same work as verifying a new one.
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
    let is_match =
        stored.as_ref().map_err(|error| *error).and_then(|stored| stored.verify(bytes, memory));
    match (is_match, stored) {
        (Ok(true), Ok(stored))
            if stored.is_weaker_than(params) && stored.covers_password(bytes) =>
        {
            Ok(PasswordCheck::NeedsRehash(hash(params, password, memory)?))
        }
        (Ok(true), _) => Ok(PasswordCheck::Match),
        (Ok(false), _) => Ok(PasswordCheck::Mismatch),
        (Err(unusable), _) => {
            tracing::error!(error = %unusable, "password verification failed");
            Ok(PasswordCheck::Mismatch)
        }
    }
}

/// Returns a hash with a new salt and without output.
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

    /// With equal parameters, a wrong password costs one hash instead of two.
    #[test]
    fn only_hash_with_equal_params_takes_the_same_work() {
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
