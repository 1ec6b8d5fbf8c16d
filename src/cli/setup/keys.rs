//! Opens the keys that sign and verify tokens.

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::Keys;
use crate::cli::exit::Exit;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Settings;
use crate::key_store::KeyStore;

/// Returns the keys from the settings, else the generated secrets from the data folder. Call it
/// only when the service is certain to serve: it records which generated secret signs from now on.
pub(in crate::cli) fn open_keys(settings: &Settings) -> Result<Keys, Exit> {
    let algorithm = settings.algorithm;
    let keys = match (&settings.secret_key, settings.secret_keys.as_slice()) {
        _ if !algorithm.is_symmetric() => Keys::of_pairs(&settings.signing_keys, algorithm),
        (Some(secret), []) => Keys::of_secret(secret, algorithm),
        (None, []) => return open_stored(settings),
        (secret, secrets) => {
            let is_new = |secret: &&_| !secrets.iter().any(|other| is_same(secret, other));
            let verifying = secret.iter().filter(is_new).cloned();
            let secrets: Vec<_> = secrets.iter().cloned().chain(verifying).collect();
            Keys::of_secrets(&secrets, algorithm)
        }
    };
    Ok(keys.context("could not use the keys")?)
}

fn open_stored(settings: &Settings) -> Result<Keys, Exit> {
    let algorithm = settings.algorithm;
    let secrets = KeyStore::new(&settings.data_dir, algorithm)
        .start_signing(SystemClock.now())
        .context("could not load the keys")?;
    let keys = match secrets.as_slice() {
        // Tokens of a single secret have no `kid`, like those of the reference service.
        [secret] => Keys::of_secret(secret, algorithm),
        secrets => Keys::of_secrets(secrets, algorithm),
    };
    Ok(keys.context("could not use the keys")?)
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
