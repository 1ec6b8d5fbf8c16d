//! The SHA-256 of a backup, in a file next to it that `sha256sum --check` reads.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::file_access::{ignore_missing, open_regular};

/// Returns the SHA-256 of all that follows, in hexadecimal digits.
pub(in crate::store::sqlite) fn sha256_of(input: impl Read) -> io::Result<String> {
    copy_with_sha256(input, io::sink())
}

/// Copies the input, and returns its SHA-256.
pub(in crate::store::sqlite) fn copy_with_sha256(
    mut input: impl Read,
    mut output: impl Write,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
        hash.update(bytes);
        output.write_all(bytes)?;
    }
    Ok(hex::encode(hash.finalize()))
}

/// Writes the file that `sha256sum` would print for `named`, to the disk.
pub(super) fn write(path: &Path, sha256: &str, named: &Path) -> io::Result<()> {
    let name = named.file_name().unwrap_or_default().as_bytes();
    let mut line = Vec::new();
    let escaped: Vec<u8> = name.iter().flat_map(|byte| escape(*byte)).collect();
    if escaped != name {
        line.push(b'\\');
    }
    line.extend(sha256.bytes().chain(*b"  ").chain(escaped).chain(*b"\n"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&line)?;
    file.sync_all()
}

/// `sha256sum` begins a line with a backslash if the name has one of these characters.
fn escape(byte: u8) -> Vec<u8> {
    match byte {
        b'\\' => b"\\\\".to_vec(),
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        byte => vec![byte],
    }
}

/// Reads the SHA-256 of such a file. Returns `None` if there is no file.
///
/// # Errors
/// Also if the file does not begin with a SHA-256.
pub(in crate::store::sqlite) fn read(path: &Path) -> io::Result<Option<String>> {
    let Some(file) = ignore_missing(open_regular(path))? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    file.take(1024).read_to_end(&mut text)?;
    let text = text.strip_prefix(b"\\").unwrap_or(&text);
    let digits = text.get(..64).and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.and_then(parse) {
        Some(sha256) => Ok(Some(sha256)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "it has no SHA-256")),
    }
}

/// Parses a SHA-256 in hexadecimal digits of any case.
#[must_use]
pub fn parse(text: &str) -> Option<String> {
    let is_sha256 = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha256.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;
    use crate::store::sqlite::wal::with_suffix;

    /// `sha256sum` reads what this writes, and this reads what `sha256sum` writes, for any name.
    #[test]
    fn checksum_file_is_that_of_sha256sum() {
        let folder = TempDir::new().unwrap();
        for name in ["plain.db", "a\\b\n.db", "  blank", "ü"] {
            let path = folder.path().join(name);
            std::fs::write(&path, name.repeat(1000)).unwrap();
            let sum = with_suffix(&path, ".sha256");
            let sha256 = sha256_of(File::open(&path).unwrap()).unwrap();
            write(&sum, &sha256, &path).unwrap();
            let mut sha256sum = Command::new("sha256sum");
            let output = sha256sum.current_dir(&folder).arg("--").arg(name).output().unwrap();
            assert_eq!(std::fs::read(&sum).unwrap(), output.stdout, "{name}");
            assert_eq!(read(&sum).unwrap(), Some(sha256), "{name}");
        }
    }

    #[test]
    fn file_without_checksum_is_refused_and_missing_file_is_none() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sum");
        assert_eq!(read(&path).unwrap(), None);
        for text in ["", "0", &"g".repeat(64), &"0".repeat(63)] {
            std::fs::write(&path, text).unwrap();
            read(&path).unwrap_err();
        }
        std::fs::write(&path, "A".repeat(64)).unwrap();
        assert_eq!(read(&path).unwrap(), Some("a".repeat(64)));
    }
}
