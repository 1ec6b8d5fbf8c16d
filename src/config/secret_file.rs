//! The secrets that the service makes for itself, in a file of the data folder: one a line, the newest
//! first. There are several of them while tokens of the old ones are in use. Which one signs is noted by
//! `signing_file`.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::SecretString;

use super::keys::split_secrets;
use super::signing_file::{name_of, naming, read_signing};
use crate::auth::{Algorithm, check_secret};

/// The file, in the data folder.
pub const SECRET_FILE: &str = "secret_key";

/// Secrets that are kept at once, the one that signs included.
const MOST_SECRETS: usize = 8;

/// The secrets of the data folder, the one that signs first. The first time one is made and kept,
/// readable by its owner alone.
///
/// # Errors
/// If the folder or the file cannot be used, or what it holds are no keys for the algorithm.
pub fn load_or_create_secrets(
    data_dir: &Path,
    algorithm: Algorithm,
) -> io::Result<Vec<SecretString>> {
    let path = data_dir.join(SECRET_FILE);
    if !path.exists() {
        write_once(&path, &make_secret()?)?;
    }
    // Of two processes that start at once, one made it and both read it.
    let secrets = read(&path, algorithm)?;
    warn_of_readers(&path)?;
    Ok(secrets.into_iter().map(SecretString::from).collect())
}

/// Puts a new secret before those of the file, and tells how many others it still holds. Without a
/// moment that is none. With one it is the secret that signs until the next start, and those before that
/// if they were retired after that moment. Of too many those go first that have never signed.
///
/// A service that runs goes on with what it has read. If this fails the file is as it was.
///
/// # Errors
/// If there is no file, what it holds are no keys for the algorithm, or it cannot be replaced.
pub fn rotate_secret(
    data_dir: &Path,
    algorithm: Algorithm,
    kept_since: Option<Timestamp>,
) -> io::Result<usize> {
    // Where it is a link, what it leads to is replaced.
    let path = data_dir.join(SECRET_FILE);
    let path = path.canonicalize().map_err(|error| naming(&path, &error))?;
    let mut secrets = read(&path, algorithm)?;
    let metadata = std::fs::metadata(&path)?;
    match kept_since {
        None => secrets.clear(),
        Some(moment) => drop_unneeded(&mut secrets, data_dir, algorithm, moment)?,
    }
    secrets.insert(0, make_secret()?);
    let draft = write_draft(&path, &secrets.join("\n"))?;
    if let Err(error) = take_the_place(&draft, &path, &metadata) {
        // What it holds signs nothing yet; that it stays is the lesser evil.
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    Ok(secrets.len() - 1)
}

/// Leaves room for one more, the secret that signs, those before it if they were retired after the moment,
/// and those after it, with which the next start may be about to sign.
fn drop_unneeded(
    secrets: &mut Vec<String>,
    data_dir: &Path,
    algorithm: Algorithm,
    moment: Timestamp,
) -> io::Result<()> {
    let signing = read_signing(data_dir)?;
    let mut names = secrets.iter().map(|secret| name_of(secret, algorithm));
    let position = match &signing {
        Some(signing) => names.position(|name| name.is_ok_and(|name| name == signing.name)),
        None => None,
    };
    // Nobody knows which one signs, so that each of them may.
    let (Some(mut position), Some(signing)) = (position, signing) else {
        secrets.truncate(MOST_SECRETS - 1);
        return Ok(());
    };
    if signing.since < moment {
        secrets.truncate(position + 1);
    }
    while secrets.len() > MOST_SECRETS - 1 && position > 0 {
        position -= 1;
        secrets.remove(position);
    }
    secrets.truncate(MOST_SECRETS - 1);
    Ok(())
}

fn read(path: &Path, algorithm: Algorithm) -> io::Result<Vec<String>> {
    let told = |problem: String| io::Error::other(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let secrets = split_secrets(&text, |character| character == '\n').map_err(told)?;
    if secrets.len() > MOST_SECRETS {
        return Err(told(format!("it holds {} keys, {MOST_SECRETS} is the most", secrets.len())));
    }
    for (number, secret) in (1..).zip(&secrets) {
        check_secret(secret, algorithm)
            .map_err(|problem| told(format!("key {number} {problem}")))?;
    }
    Ok(secrets)
}

/// A key that others can read may come from a restored backup: said aloud, as it signs tokens for
/// every account.
fn warn_of_readers(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read the key: make its mode 0600");
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
    let draft = write_draft(path, secret)?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    keep_name(path)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The draft becomes the file, which keeps its owner: whoever rotates may be another than who serves.
fn take_the_place(draft: &Path, path: &Path, before: &Metadata) -> io::Result<()> {
    let made = std::fs::metadata(draft)?;
    if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
        std::os::unix::fs::chown(draft, Some(before.uid()), Some(before.gid()))?;
    }
    std::fs::rename(draft, path)?;
    keep_name(path)
}

/// A file beside it that is on the disk, whole.
pub(super) fn write_draft(path: &Path, text: &str) -> io::Result<PathBuf> {
    // Not a process's number: in a container that is always the same, and a draft that was left by
    // one that was killed would stand in the way for ever.
    let number = getrandom::u64().map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{number:016x}.new"));
    let written = write_new(&draft, text);
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written.map(|()| draft)
}

fn write_new(draft: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// The name must reach the disk too: with the key every token would be lost.
pub(super) fn keep_name(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
