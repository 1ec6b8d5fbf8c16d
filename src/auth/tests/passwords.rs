//! New passwords.

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

/// The longest password there is has 4096 characters, however many bytes they take.
#[tokio::test]
async fn the_longest_password_is_hashed_and_known_again() {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    for character in ["x", "ä"] {
        let longest = character.repeat(4096);
        let accepted = accept_password(&longest, &ANY).unwrap();
        let hash = passwords.hash(accepted.clone()).await.unwrap();
        assert_eq!(passwords.verify(accepted, Some(hash)).await.unwrap(), PasswordCheck::Match);
    }
}

/// Else who reads two hashes would know that they are of one password, and a table would do for all.
#[tokio::test]
async fn every_hash_has_a_salt_of_its_own() {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    let mut salts = HashSet::new();
    for _ in 0..20 {
        let hash = passwords.hash(SecretString::from("the same")).await.unwrap();
        let salt = hash.as_str().split('$').nth(4).unwrap().to_owned();
        assert_eq!(salt.len(), 22, "16 bytes in base64");
        assert!(salts.insert(salt));
    }
}

/// Sign-up refuses a longer one; if its hash is there all the same, it is not even computed.
#[tokio::test]
async fn a_longer_password_belongs_to_nobody() {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    for length in [4097, 4098, 10_000] {
        let longer = "x".repeat(length);
        let refused = accept_password(&longer, &ANY).unwrap_err();
        assert_eq!(refused, PasswordRejected::TooLong { max: 4096 });
        let hash = passwords.hash(SecretString::from(longer.clone())).await.unwrap();
        let verdict = passwords.verify(SecretString::from(longer), Some(hash)).await.unwrap();
        assert_eq!(verdict, PasswordCheck::Mismatch, "{length}");
    }
}

#[test]
fn the_shortest_password_is_as_long_as_the_rules_say() {
    let password_policy = PasswordRules { minimum_length: 9, blocklist: true, ..ANY };
    accept_password("jx7 qv-wé", &password_policy).unwrap();
    for shorter in ["jx7 qv-w", "éééééééé", ""] {
        let refused = accept_password(shorter, &password_policy).unwrap_err();
        assert_eq!(refused, PasswordRejected::TooShort { min: 9 }, "{shorter}");
    }
    assert_eq!(
        accept_password("password123", &password_policy).unwrap_err(),
        PasswordRejected::TooCommon
    );
    accept_password("password123", &PasswordRules { blocklist: false, ..password_policy }).unwrap();
}

#[test]
fn a_forbidden_word_is_found_wherever_and_however_it_stands() {
    let words = ["Acme", "Zürich", "42nd street", "İstanbul", "straße", "οδος"];
    let forbidden_words = words.map(fold_case).to_vec();
    let password_policy = PasswordRules { forbidden_words, ..ANY };
    let refused = ["acme", "xxACMExx", "My Acme 2026!", "in ZÜRICH again", "no 42nd Street"];
    let folded = ["istanbul", "ISTANBUL 7", "İSTANBUL", "STRASSE", "Strasse 12", "ΟΔΟΣx", "ΟΔΟΣ"];
    for password in refused.into_iter().chain(folded) {
        let refused = accept_password(password, &password_policy).unwrap_err();
        assert_eq!(refused, PasswordRejected::ForbiddenWord, "{password}");
    }
    for password in ["a c m e", "zurich", "42nd  street", ""] {
        accept_password(password, &password_policy).unwrap();
    }
}

/// Sixteen for each thread: a second thread is twice the room.
#[tokio::test]
async fn every_thread_has_a_queue_of_its_own_length() {
    // Long enough for all of them to ask before one is done.
    let dear = Argon2Params { memory_kib: 8 * 1024, iterations: 1, parallelism: 1 };
    for (threads, room) in [(1, 16), (3, 48)] {
        let passwords = Passwords::new(dear, NonZeroUsize::new(threads).unwrap()).unwrap();
        let hashes = (0..room).map(|_| passwords.hash(SecretString::from("x")));
        for hash in join_all(hashes).await {
            hash.unwrap();
        }
        let hashes = (0..2 * room + threads).map(|_| passwords.hash(SecretString::from("x")));
        let answers = join_all(hashes).await;
        assert!(answers.contains(&Err(HashingError::Overloaded)), "{threads} threads");
    }
}
