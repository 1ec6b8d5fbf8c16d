//! The keys that sign tokens, as they are given. Those that the service makes for itself are
//! `secret_file`'s.

use secrecy::SecretString;

use super::SettingError;
use super::parse::Parser;
use crate::auth::{Algorithm, KeyPair, check_secret};

/// Bytes of a secret that is not refused in any mode.
const SHORTEST_SECRET: usize = 16;

/// Keys at once: a token that names none of them is tried with each.
const MOST_KEYS: usize = 8;

const CURE: &str = "make one with `openssl rand -hex 32`, or give none to the embedded database";

const PAIR_CURE: &str =
    "make one with `openssl genpkey`, as docs/settings.md says, and give it as it is";

impl Parser<'_> {
    pub(super) fn secret_key(
        &mut self,
        name: &'static str,
        algorithm: Algorithm,
        is_reference: bool,
    ) -> Option<SecretString> {
        let secret = self.secret(name)?;
        if self.refuse_unused(name, algorithm, algorithm.is_symmetric()) {
            return None;
        }
        if let Err(weak) = check_secret(&secret, algorithm) {
            self.warn_weak_secret(
                name,
                weak.to_string(),
                is_reference && secret.len() >= SHORTEST_SECRET,
            );
        }
        Some(SecretString::from(secret))
    }

    /// Several secrets, parted by commas or white space.
    pub(super) fn secret_keys(
        &mut self,
        name: &'static str,
        algorithm: Algorithm,
        is_reference: bool,
    ) -> Vec<SecretString> {
        let Some(text) = self.secret(name) else {
            return Vec::new();
        };
        if self.refuse_unused(name, algorithm, algorithm.is_symmetric()) {
            return Vec::new();
        }
        let is_between = |character: char| character == ',' || character.is_whitespace();
        let secrets = match split_secrets(&text, is_between) {
            Ok(secrets) => secrets,
            Err(problem) => {
                self.faults.push(SettingError::new(name, problem, CURE));
                return Vec::new();
            }
        };
        self.refuse_many(name, secrets.len());
        let weak = (1..).zip(&secrets).filter_map(|(number, secret)| {
            let problem = check_secret(secret, algorithm).err()?;
            Some(format!("key {number} {problem}"))
        });
        let weak: Vec<String> = weak.collect();
        if !weak.is_empty() {
            let is_long = secrets.iter().all(|secret| secret.len() >= SHORTEST_SECRET);
            self.warn_weak_secret(name, weak.join(", "), is_reference && is_long);
        }
        secrets.into_iter().map(SecretString::from).collect()
    }

    /// Several private keys, one block of PEM after the other.
    pub(super) fn signing_keys(
        &mut self,
        name: &'static str,
        algorithm: Algorithm,
    ) -> Vec<KeyPair> {
        let Some(text) = self.secret(name) else {
            return Vec::new();
        };
        if self.refuse_unused(name, algorithm, !algorithm.is_symmetric()) {
            return Vec::new();
        }
        let pairs = KeyPair::read_all(&text, algorithm).unwrap_or_else(|unusable| {
            self.faults.push(SettingError::new(name, unusable.to_string(), PAIR_CURE));
            Vec::new()
        });
        self.refuse_many(name, pairs.len());
        self.warn_short_secret(name, &pairs);
        pairs
    }

    /// Whoever gives a key that signs nothing takes the tokens for safer than they are.
    fn refuse_unused(&mut self, name: &str, algorithm: Algorithm, is_used: bool) -> bool {
        if !is_used {
            let problem = format!("is not used with ALGORITHM={algorithm:?}");
            self.faults.push(SettingError::new(name, problem, "take it away, or change ALGORITHM"));
        }
        !is_used
    }

    fn refuse_many(&mut self, name: &str, number: usize) {
        if number > MOST_KEYS {
            let problem = format!("holds {number} keys, {MOST_KEYS} is the most");
            self.faults.push(SettingError::new(name, problem, "take away the oldest"));
        }
    }

    /// Keys that are as long as they must be, and not as long as they should.
    fn warn_short_secret(&mut self, name: &str, pairs: &[KeyPair]) {
        let told = |(number, pair): (usize, &KeyPair)| {
            Some(format!("key {number} has {} bits", pair.weak_bits()?))
        };
        let short: Vec<String> = (1..).zip(pairs).filter_map(told).collect();
        if !short.is_empty() {
            let problem = format!(
                "{}: less than 128 bits of strength, 2048 have 112 (NIST SP 800-57 part 1)",
                short.join(", ")
            );
            let hint = "sign with one of 3072 bits or more, or with ES256 or EdDSA";
            self.warnings.push(SettingError::new(name, problem, hint));
        }
    }

    /// The tokens that the reference's clients hold were signed with it. But a key that can be tried out
    /// in no time opens every account.
    fn warn_weak_secret(&mut self, name: &str, problem: String, is_borne: bool) {
        if is_borne {
            let hint = format!("{name} is weak: replace it when its tokens have ended");
            self.warnings.push(SettingError::new(name, problem, hint));
        } else {
            self.faults.push(SettingError::new(name, problem, CURE));
        }
    }
}

/// The secrets of a text, in its order; or says what is wrong.
fn split_secrets(text: &str, is_between: impl Fn(char) -> bool) -> Result<Vec<String>, String> {
    let mut secrets: Vec<String> = Vec::new();
    for secret in text.split(is_between).map(str::trim).filter(|secret| !secret.is_empty()) {
        if secrets.iter().any(|other| other == secret) {
            return Err(format!("key {} stands there twice", secrets.len() + 1));
        }
        secrets.push(secret.to_owned());
    }
    if secrets.is_empty() { Err("holds no key".to_owned()) } else { Ok(secrets) }
}
