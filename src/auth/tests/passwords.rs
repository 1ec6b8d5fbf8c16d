//! New passwords: their length, and the length of the hashing queue.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use futures_util::future::join_all;
use secrecy::SecretString;

use super::CHEAP;
use crate::auth::{
    Argon2Params, HashingError, PasswordCheck, PasswordRejected, Passwords, accept_password,
    fold_case,
};
use crate::domain::policy::PasswordRules;

const ANY: PasswordRules =
    PasswordRules { minimum_length: 0, blocklist: false, forbidden_words: Vec::new() };

/// The limit is 4096 characters, whether a character takes one byte or two.
#[tokio::test]
async fn longest_password_is_hashed_and_verified() {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    for character in ["x", "ä"] {
        let longest = character.repeat(4096);
        let accepted = accept_password(&longest, &ANY).unwrap();
        let hash = passwords.hash(accepted.clone()).await.unwrap();
        assert_eq!(passwords.verify(accepted, Some(hash)).await.unwrap(), PasswordCheck::Match);
    }
}

/// Without salts, equal passwords would have equal hashes, and one table would crack all hashes.
#[tokio::test]
async fn each_hash_has_its_own_salt() {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    let mut salts = HashSet::new();
    for _ in 0..20 {
        let hash = passwords.hash(SecretString::from("the same")).await.unwrap();
        let salt = hash.as_str().split('$').nth(4).unwrap().to_owned();
        assert_eq!(salt.len(), 22, "16 bytes in base64");
        assert!(salts.insert(salt));
    }
}

/// Sign-up rejects a longer password. Even with a matching stored hash, it never matches.
#[tokio::test]
async fn too_long_password_never_matches() {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    for length in [4097, 4098, 10_000] {
        let longer = "x".repeat(length);
        let error = accept_password(&longer, &ANY).unwrap_err();
        assert_eq!(error, PasswordRejected::TooLong { max: 4096 });
        let hash = passwords.hash(SecretString::from(longer.clone())).await.unwrap();
        let check = passwords.verify(SecretString::from(longer), Some(hash)).await.unwrap();
        assert_eq!(check, PasswordCheck::Mismatch, "{length}");
    }
}

#[test]
fn password_below_minimum_length_is_rejected() {
    let password_policy = PasswordRules { minimum_length: 9, blocklist: true, ..ANY };
    accept_password("jx7 qv-wé", &password_policy).unwrap();
    for shorter in ["jx7 qv-w", "éééééééé", ""] {
        let error = accept_password(shorter, &password_policy).unwrap_err();
        assert_eq!(error, PasswordRejected::TooShort { min: 9 }, "{shorter}");
    }
    assert_eq!(
        accept_password("password123", &password_policy).unwrap_err(),
        PasswordRejected::TooCommon
    );
    accept_password("password123", &PasswordRules { blocklist: false, ..password_policy }).unwrap();
}

#[test]
fn forbidden_word_is_rejected_at_any_position_and_case() {
    let words = ["Acme", "Zürich", "42nd street", "İstanbul", "straße", "οδος"];
    let forbidden_words = words.map(fold_case).to_vec();
    let password_policy = PasswordRules { forbidden_words, ..ANY };
    let plain = ["acme", "xxACMExx", "My Acme 2026!", "in ZÜRICH again", "no 42nd Street"];
    let folded = ["istanbul", "ISTANBUL 7", "İSTANBUL", "STRASSE", "Strasse 12", "ΟΔΟΣx", "ΟΔΟΣ"];
    for password in plain.into_iter().chain(folded) {
        let error = accept_password(password, &password_policy).unwrap_err();
        assert_eq!(error, PasswordRejected::ForbiddenWord, "{password}");
    }
    for password in ["a c m e", "zurich", "42nd  street", ""] {
        accept_password(password, &password_policy).unwrap();
    }
}

#[tokio::test]
async fn hashing_queue_holds_sixteen_jobs_per_thread() {
    // Each hash takes long enough for all jobs to arrive before the first is done.
    let slow = Argon2Params { memory_kib: 8 * 1024, iterations: 1, parallelism: 1 };
    for (threads, queue) in [(1, 16), (3, 48)] {
        let passwords = Passwords::new(slow, NonZeroUsize::new(threads).unwrap()).unwrap();
        let hashes = (0..queue).map(|_| passwords.hash(SecretString::from("x")));
        for hash in join_all(hashes).await {
            hash.unwrap();
        }
        let hashes = (0..2 * queue + threads).map(|_| passwords.hash(SecretString::from("x")));
        let results = join_all(hashes).await;
        assert!(results.contains(&Err(HashingError::Overloaded)), "{threads} threads");
    }
}
