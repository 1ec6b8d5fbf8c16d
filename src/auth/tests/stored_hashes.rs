//! Stored hashes: which are verified, and which are replaced.

use std::num::NonZeroUsize;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::SecretString;

use super::PASSWORD;
use crate::auth::stored_hash::StoredHash;
use crate::auth::{Argon2Params, PasswordCheck, Passwords};
use crate::domain::user::PasswordHash;

/// The parameters of new hashes.
const PARAMS: Argon2Params = Argon2Params { memory_kib: 64, iterations: 2, parallelism: 1 };

/// A hash of [`PASSWORD`] from another service. `salt` and `output` are lengths in bytes.
#[derive(Clone, Copy)]
struct ForeignHash {
    algorithm: Algorithm,
    version: Version,
    params: Argon2Params,
    salt: usize,
    output: usize,
}

const GOOD: ForeignHash = ForeignHash {
    algorithm: Algorithm::Argon2id,
    version: Version::V0x13,
    params: PARAMS,
    salt: 16,
    output: 32,
};

impl ForeignHash {
    /// Returns the fields of the PHC string.
    fn parts(self) -> [String; 5] {
        let Argon2Params { memory_kib, iterations, parallelism } = self.params;
        let parameters =
            Params::new(memory_kib, iterations, parallelism, Some(self.output)).unwrap();
        let (salt, mut output) = (vec![7; self.salt], vec![0; self.output]);
        Argon2::new(self.algorithm, self.version, parameters)
            .hash_password_into(PASSWORD.as_bytes(), &salt, &mut output)
            .unwrap();
        [
            if self.algorithm == Algorithm::Argon2i { "argon2i" } else { "argon2id" }.to_owned(),
            format!("v={}", if self.version == Version::V0x10 { 16 } else { 19 }),
            format!("m={memory_kib},t={iterations},p={parallelism}"),
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(output),
        ]
    }

    fn text(self) -> String {
        format!("${}", self.parts().join("$"))
    }
}

async fn check(stored: &str) -> PasswordCheck {
    let passwords = Passwords::new(PARAMS, NonZeroUsize::MIN).unwrap();
    let stored = PasswordHash::new(stored.to_owned());
    passwords.verify(SecretString::from(PASSWORD), Some(stored)).await.unwrap()
}

#[tokio::test]
async fn hash_with_current_params_is_kept() {
    for foreign in [
        GOOD,
        ForeignHash { salt: 8, ..GOOD },
        ForeignHash { salt: 64, ..GOOD },
        ForeignHash { output: 16, ..GOOD },
        ForeignHash { output: 64, ..GOOD },
    ] {
        assert_eq!(check(&foreign.text()).await, PasswordCheck::Match, "{}", foreign.text());
    }
}

#[tokio::test]
async fn hash_is_compared_to_its_last_byte() {
    let [algorithm, version, params, salt, output] = GOOD.parts();
    let output = STANDARD_NO_PAD.decode(output).unwrap();
    for index in 0..output.len() {
        let mut other = output.clone();
        other[index] ^= 1;
        let other = STANDARD_NO_PAD.encode(other);
        let text = format!("${algorithm}${version}${params}${salt}${other}");
        assert_eq!(check(&text).await, PasswordCheck::Mismatch, "byte {index}");
    }
}

/// Each hash is weaker in only one respect.
#[tokio::test]
async fn weaker_hash_matches_and_needs_rehash() {
    let mut weaker = vec![
        ForeignHash { algorithm: Algorithm::Argon2i, ..GOOD }.text(),
        ForeignHash { version: Version::V0x10, ..GOOD }.text(),
        ForeignHash { params: Argon2Params { memory_kib: 63, ..PARAMS }, ..GOOD }.text(),
        ForeignHash { params: Argon2Params { iterations: 1, ..PARAMS }, ..GOOD }.text(),
    ];
    // Version 16, written without a version field.
    let [algorithm, _, params, salt, output] =
        ForeignHash { version: Version::V0x10, ..GOOD }.parts();
    weaker.push(format!("${algorithm}${params}${salt}${output}"));
    let bcrypt = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().to_string();
    for prefix in ["$2a$", "$2b$", "$2x$", "$2y$"] {
        weaker.push(bcrypt.replace("$2b$", prefix));
    }
    for text in weaker {
        let PasswordCheck::NeedsRehash(stronger) = check(&text).await else {
            panic!("{text} needs no rehash");
        };
        assert_eq!(check(stronger.as_str()).await, PasswordCheck::Match);
    }
}

/// The password matches, but the format or the parameters are out of bounds.
#[tokio::test]
async fn hash_out_of_bounds_never_matches() {
    let [algorithm, version, params, salt, output] = GOOD.parts();
    let good = GOOD.text();
    let bcrypt = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().to_string();
    for text in [
        good.replace("m=64", "m=+64"),
        good.replace("p=1", "p=1,x=1"),
        good.replace("m=64,t=2", "t=2,m=64"),
        format!("${algorithm}${version}${params}${salt}${output}="),
        format!("${algorithm}${version}${params}${salt}"),
        format!("${algorithm}${version}${params}${salt}$c2hvcnQ"),
        ForeignHash { salt: 65, ..GOOD }.text(),
        ForeignHash { output: 15, ..GOOD }.text(),
        ForeignHash { output: 65, ..GOOD }.text(),
        ForeignHash { params: Argon2Params { iterations: 33, ..PARAMS }, ..GOOD }.text(),
        bcrypt.replace("$2b$", "$2c$"),
        bcrypt.replace("$04$", "$4$"),
        format!("{bcrypt}a"),
    ] {
        assert_ne!(text, good);
        assert_eq!(check(&text).await, PasswordCheck::Mismatch, "{text}");
    }
}

#[test]
fn argon2_params_are_bounded() {
    for (memory_kib, iterations, parallelism, is_bounded) in [
        (8, 1, 1, true),
        (7, 1, 1, false),
        (16, 1, 2, true),
        (15, 1, 2, false),
        (512, 32, 64, true),
        (511, 32, 64, false),
        (512, 33, 64, false),
        (520, 32, 65, false),
        (8, 0, 1, false),
        (8, 1, 0, false),
        (1_048_576, 1, 1, true),
        (1_048_577, 1, 1, false),
    ] {
        let params = Argon2Params { memory_kib, iterations, parallelism };
        assert_eq!(params.is_bounded(), is_bounded, "{params:?}");
    }
}

#[test]
fn params_with_less_memory_or_fewer_passes_are_weaker() {
    let of = |memory_kib, iterations| Argon2Params { memory_kib, iterations, parallelism: 1 };
    for (memory_kib, iterations, is_weaker) in
        [(64, 2, false), (65, 3, false), (63, 2, true), (64, 1, true), (63, 9, true), (99, 1, true)]
    {
        let params = of(memory_kib, iterations);
        assert_eq!(params.is_weaker_than(PARAMS), is_weaker, "{params:?}");
    }
}

/// bcrypt reads at most 72 bytes, and stops at a NUL.
#[test]
fn bcrypt_does_not_cover_long_password() {
    let bcrypt = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().to_string();
    let bcrypt = StoredHash::parse(&bcrypt).unwrap();
    let argon2 = StoredHash::parse(&GOOD.text()).unwrap();
    for (password, is_covered) in [
        (vec![b'x'; 71], true),
        (vec![b'x'; 72], false),
        (b"with\0nul".to_vec(), false),
        (vec![0; 80], false),
    ] {
        assert_eq!(bcrypt.covers_password(&password), is_covered, "{password:?}");
        assert!(argon2.covers_password(&password));
    }
}

/// The cost is checked before the library computes, which would take as long as the text demands.
#[test]
fn bcrypt_cost_is_bounded() {
    for (start, rest, is_bcrypt) in [
        ("$2a$04$", "a".repeat(53), true),
        ("$2b$16$", "a".repeat(53), true),
        ("$2x$10$", "a".repeat(53), true),
        ("$2y$10$", "a".repeat(53), true),
        ("$2b$03$", "a".repeat(53), false),
        ("$2b$17$", "a".repeat(53), false),
        ("$2b$xx$", "a".repeat(53), false),
        ("$2c$10$", "a".repeat(53), false),
        ("$2c$17$", "a".repeat(53), false),
        ("$2b$10$", "a".repeat(52), false),
        ("$2b$10$", "a".repeat(54), false),
        ("$2b$10$", format!("{}é", "a".repeat(51)), false),
    ] {
        let text = format!("{start}{rest}");
        assert_eq!(StoredHash::parse(&text).is_ok(), is_bcrypt, "{text}");
    }
}
