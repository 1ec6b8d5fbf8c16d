//! Parses the settings for the keys that sign tokens.
//!
//! Not here: secrets that the service generates for itself, see `key_store`.

use secrecy::SecretString;

use super::SettingError;
use super::definitions as row;
use super::parse::Parser;
use super::setting::Setting;
use crate::auth::{Algorithm, KeyPair, check_secret};

/// Minimum length in bytes of a secret with `COMPAT=reference`.
const MIN_WEAK_SECRET: usize = 16;

/// Maximum number of keys. A token without a known `kid` is verified with each of them.
const MAX_KEYS: usize = 8;

const SECRET_HINT: &str =
    "generate one with `openssl rand -hex 32`, or set none with the embedded database";

/// A new secret would end every token that the reference service issued.
const TAKEOVER_HINT: &str = "generate one with `openssl rand -hex 32`; to take over from the \
                             reference service with its tokens, keep it and set COMPAT=reference";

const PAIR_HINT: &str =
    "generate one with `openssl genpkey` as docs/settings.md says, and give it unchanged";

impl Parser<'_> {
    pub(super) fn secret_key(&mut self, algorithm: Algorithm) -> Option<SecretString> {
        let setting = &row::SECRET_KEY;
        let secret = self.secret(setting)?;
        if self.reject_unused(setting, algorithm, algorithm.is_symmetric()) {
            return None;
        }
        if let Err(weak) = check_secret(&secret, algorithm) {
            self.warn_weak_secret(setting, weak.to_string(), secret.len());
        }
        Some(SecretString::from(secret))
    }

    /// Returns the secrets in order. Commas or white space separate them.
    pub(super) fn secret_keys(&mut self, algorithm: Algorithm) -> Vec<SecretString> {
        let setting = &row::SECRET_KEYS;
        let Some(text) = self.secret(setting) else {
            return Vec::new();
        };
        if self.reject_unused(setting, algorithm, algorithm.is_symmetric()) {
            return Vec::new();
        }
        let secrets = match split_secrets(&text) {
            Ok(secrets) => secrets,
            Err(problem) => {
                self.errors.push(SettingError::new(setting.name, problem, SECRET_HINT));
                return Vec::new();
            }
        };
        self.reject_many(setting, secrets.len());
        let weak = (1..).zip(&secrets).filter_map(|(number, secret)| {
            let weak = check_secret(secret, algorithm).err()?;
            Some(format!("key {number} {weak}"))
        });
        let weak: Vec<String> = weak.collect();
        if !weak.is_empty() {
            let shortest = secrets.iter().map(|secret| secret.len()).min().unwrap_or(0);
            self.warn_weak_secret(setting, weak.join(", "), shortest);
        }
        secrets.into_iter().map(SecretString::from).collect()
    }

    /// Returns the private keys in order. Each is one PEM block.
    pub(super) fn signing_keys(&mut self, algorithm: Algorithm) -> Vec<KeyPair> {
        let setting = &row::SIGNING_KEYS;
        let Some(text) = self.secret(setting) else {
            return Vec::new();
        };
        if self.reject_unused(setting, algorithm, !algorithm.is_symmetric()) {
            return Vec::new();
        }
        let pairs = KeyPair::read_all(&text, algorithm).unwrap_or_else(|unusable| {
            self.errors.push(SettingError::new(setting.name, unusable.to_string(), PAIR_HINT));
            Vec::new()
        });
        self.reject_many(setting, pairs.len());
        self.warn_short_key(setting, &pairs);
        pairs
    }

    /// Rejects a key that the algorithm does not use. Ignoring it would make tokens look safer than
    /// they are.
    fn reject_unused(&mut self, setting: &Setting, algorithm: Algorithm, is_used: bool) -> bool {
        if !is_used {
            let problem = format!("is not used with ALGORITHM={}", algorithm.name());
            self.errors.push(SettingError::new(
                setting.name,
                problem,
                "remove it, or change ALGORITHM",
            ));
        }
        !is_used
    }

    fn reject_many(&mut self, setting: &Setting, number: usize) {
        if number > MAX_KEYS {
            let problem = format!("holds {number} keys, {MAX_KEYS} is the most");
            self.errors.push(SettingError::new(setting.name, problem, "remove the oldest"));
        }
    }

    /// Warns about keys that are accepted but have less than 128 bits of strength.
    fn warn_short_key(&mut self, setting: &Setting, pairs: &[KeyPair]) {
        let describe = |(number, pair): (usize, &KeyPair)| {
            Some(format!("key {number} has {} bits", pair.weak_bits()?))
        };
        let short: Vec<String> = (1..).zip(pairs).filter_map(describe).collect();
        if !short.is_empty() {
            let problem = format!(
                "{}: less than 128 bits of strength, 2048 have 112 (NIST SP 800-57 part 1)",
                short.join(", ")
            );
            let hint = "sign with a key of 3072 bits or more, or with ES256 or EdDSA";
            self.warnings.push(SettingError::new(setting.name, problem, hint));
        }
    }

    /// With `COMPAT=reference` a weak secret gives only a warning, because tokens of the reference
    /// service depend on it. A secret below [`MIN_WEAK_SECRET`] is always an error: an attacker
    /// could guess it and sign tokens for every account.
    fn warn_weak_secret(&mut self, setting: &Setting, problem: String, length: usize) {
        let name = setting.name;
        if self.is_reference && length >= MIN_WEAK_SECRET {
            let hint = format!("{name} is weak: replace it once its tokens have expired");
            self.warnings.push(SettingError::new(name, problem, hint));
        } else {
            let hint = if length >= MIN_WEAK_SECRET { TAKEOVER_HINT } else { SECRET_HINT };
            self.errors.push(SettingError::new(name, problem, hint));
        }
    }
}

/// Returns the secrets of a text in order, or describes the problem.
fn split_secrets(text: &str) -> Result<Vec<&str>, String> {
    let is_separator = |character: char| character == ',' || character.is_whitespace();
    let mut secrets: Vec<&str> = Vec::new();
    for secret in text.split(is_separator).filter(|secret| !secret.is_empty()) {
        if secrets.contains(&secret) {
            return Err(format!("key {} repeats an earlier key", secrets.len() + 1));
        }
        secrets.push(secret);
    }
    if secrets.is_empty() { Err("holds no key".to_owned()) } else { Ok(secrets) }
}
