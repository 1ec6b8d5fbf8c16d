//! The keys that sign and verify tokens: those of the settings, else those of the data folder.

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::exit::Exit;
use crate::auth::Keys;
use crate::config::{Settings, keep_secrets};

pub(super) fn open_keys(settings: &Settings) -> Result<Keys, Exit> {
    let algorithm = settings.algorithm;
    let keys = match (&settings.secret_key, settings.secret_keys.as_slice()) {
        _ if !algorithm.is_symmetric() => Keys::of_pairs(&settings.signing_keys, algorithm),
        (Some(secret), []) => Keys::of_secret(secret, algorithm),
        (None, []) => {
            let kept =
                keep_secrets(&settings.data_dir, algorithm).context("the secret cannot be kept")?;
            match kept.as_slice() {
                // As long as there is one, tokens look as they always did.
                [secret] => Keys::of_secret(secret, algorithm),
                secrets => Keys::of_secrets(secrets, algorithm),
            }
        }
        (secret, secrets) => {
            let is_new = |secret: &&_| !secrets.iter().any(|other| is_same(secret, other));
            let verifying = secret.iter().filter(is_new).cloned();
            let secrets: Vec<_> = secrets.iter().cloned().chain(verifying).collect();
            Keys::of_secrets(&secrets, algorithm)
        }
    };
    Ok(keys.context("the keys cannot be used")?)
}

fn is_same(one: &secrecy::SecretString, other: &secrecy::SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
