//! The keys that sign and verify tokens: those of the settings, else those of the data folder.

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::exit::Exit;
use crate::auth::Keys;
use crate::config::{Settings, load_or_create_secrets};

/// Keys, and of those that the service made for itself the one that signs.
pub(super) fn open_keys(settings: &Settings) -> Result<(Keys, Option<SecretString>), Exit> {
    let algorithm = settings.algorithm;
    let keys = match (&settings.secret_key, settings.secret_keys.as_slice()) {
        _ if !algorithm.is_symmetric() => Keys::of_pairs(&settings.signing_keys, algorithm),
        (Some(secret), []) => Keys::of_secret(secret, algorithm),
        (None, []) => return open_kept(settings),
        (secret, secrets) => {
            let is_new = |secret: &&_| !secrets.iter().any(|other| is_same(secret, other));
            let verifying = secret.iter().filter(is_new).cloned();
            let secrets: Vec<_> = secrets.iter().cloned().chain(verifying).collect();
            Keys::of_secrets(&secrets, algorithm)
        }
    };
    Ok((keys.context("the keys cannot be used")?, None))
}

fn open_kept(settings: &Settings) -> Result<(Keys, Option<SecretString>), Exit> {
    let algorithm = settings.algorithm;
    let kept = load_or_create_secrets(&settings.data_dir, algorithm)
        .context("the secret cannot be kept")?;
    let keys = match kept.as_slice() {
        // As long as there is one, tokens look as they always did.
        [secret] => Keys::of_secret(secret, algorithm),
        secrets => Keys::of_secrets(secrets, algorithm),
    };
    Ok((keys.context("the keys cannot be used")?, kept.into_iter().next()))
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
