//! The key that signs tokens: what is good enough, and the one that is made when none is given.

use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::auth::Algorithm;

/// The file of the secret that the service makes, in the data folder.
pub const SECRET_FILE: &str = "secret_key";

/// Keys that stand in tutorials: whoever reads them can sign tokens.
const SAMPLES: [&str; 5] = [
    // The key of the FastAPI documentation.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "your-secret-key",
    "your_secret_key",
    "changeme",
    "supersecret",
];

/// Says what is wrong with a key. RFC 7518, 3.2: it must be as long as the hash's output.
pub(super) fn check_secret(secret: &str, algorithm: Algorithm) -> Result<(), String> {
    let least = match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
    };
    let problem = if SAMPLES.iter().any(|sample| secret.eq_ignore_ascii_case(sample)) {
        "is a sample that everybody knows".to_owned()
    } else if secret.len() < least {
        format!("has {} bytes, {algorithm:?} needs {least} or more", secret.len())
    } else if is_monotonous(secret) {
        "is the same few characters over and over".to_owned()
    } else {
        return Ok(());
    };
    Err(problem)
}

/// The secret of the data folder: made and kept, readable by its owner alone, the first time.
///
/// # Errors
/// If the folder or the file cannot be used, or what it holds is no key for the algorithm.
pub fn keep_secret(data_dir: &Path, algorithm: Algorithm) -> io::Result<SecretString> {
    let path = data_dir.join(SECRET_FILE);
    if !path.exists() {
        write_once(&path, &make_secret()?)?;
    }
    // Of two processes that start at once, one made it and both read it.
    let text = std::fs::read_to_string(&path)?;
    check_secret(text.trim(), algorithm)
        .map_err(|problem| io::Error::other(format!("the key in {} {problem}", path.display())))?;
    warn_of_readers(&path)?;
    Ok(SecretString::from(text.trim()))
}

/// A key that others can read may come from a restored backup: said aloud, as it signs tokens for
/// every account.
fn warn_of_readers(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others can read the key: make its mode 0600");
        }
    }
    Ok(())
}

/// 64 bytes: enough for each of the algorithms.
fn make_secret() -> io::Result<String> {
    let mut bytes = [0_u8; 64];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The file appears whole or not at all, and never over one that is there.
fn write_once(path: &Path, secret: &str) -> io::Result<()> {
    // Not a process's number: in a container that is always the same, and a draft that was left by
    // one that was killed would stand in the way for ever.
    let number = getrandom::u64().map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{number:016x}.new"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    // The name must reach the disk too: with the key every token would be lost.
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn is_monotonous(secret: &str) -> bool {
    let mut kinds: Vec<char> = secret.chars().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() < 8
}
