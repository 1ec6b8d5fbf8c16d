//! libpq's file of passwords, `~/.pgpass`: a line `HOST:PORT:DATABASE:USER:PASSWORD` for each, with
//! `*` for any value, and `\` before a colon or a backslash.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::{AddressError, Result};

/// The folders of Unix sockets that libpq is built with: they have the name `localhost` in the file.
const DEFAULT_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Returns the password for these hosts, or `None`. A file that others can access is not read, as in
/// libpq.
///
/// # Errors
/// If the hosts have different passwords: the driver sends one to all.
pub(super) fn find(
    config: &Config,
    path: Option<&str>,
    home: Option<&Path>,
    warnings: &mut Vec<String>,
) -> Result<Option<String>> {
    let in_home = || home.map(|home| home.join(".pgpass"));
    let Some(path) = path.map(PathBuf::from).or_else(in_home) else { return Ok(None) };
    let Ok(metadata) = std::fs::metadata(&path) else { return Ok(None) };
    let mut pass_over = |reason: &str| {
        warnings.push(format!("the password file {} {reason}", path.display()));
        Ok(None)
    };
    if !metadata.is_file() {
        return pass_over("is no file, so it is not read");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return pass_over("can be accessed by others, so it is not read; make its mode 0600");
    }
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return pass_over(&format!("cannot be read: {error}")),
    };
    let mut passwords = keys(config).into_iter().map(|key| find_in(&text, &key));
    let first = passwords.next().flatten();
    if passwords.all(|password| password == first) {
        Ok(first)
    } else {
        let problem =
            "its hosts have different passwords in the password file, but can have only one";
        Err(AddressError::of(Some("PGPASSFILE"), problem))
    }
}

/// Returns host, port, database and user for each host.
fn keys(config: &Config) -> Vec<[String; 4]> {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate();
    let keys = hosts.map(|(number, host)| {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder)
                if DEFAULT_FOLDERS.iter().any(|known| folder == Path::new(known)) =>
            {
                "localhost".to_owned()
            }
            Host::Unix(folder) => folder.display().to_string(),
        };
        let port = ports.get(number).or_else(|| ports.first()).unwrap_or(&5432);
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        [host, port.to_string(), text(config.get_dbname()), text(config.get_user())]
    });
    keys.collect()
}

/// Returns the password of the first line that matches.
fn find_in(text: &str, key: &[String; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = Fields(line.trim_end_matches('\r'));
        for value in key {
            let (raw, field) = fields.next()?;
            if raw != "*" && field != *value {
                return None;
            }
        }
        let (_, password) = fields.next()?;
        (!password.is_empty()).then_some(password)
    })
}

/// The rest of a line.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    /// The next field, as it stands there and as it is meant.
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        let mut meant = String::new();
        let mut characters = self.0.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => meant.extend(characters.next().map(|(_, escaped)| escaped)),
                ':' => {
                    let (raw, rest) = self.0.split_at(at);
                    self.0 = rest.get(1..).unwrap_or_default();
                    return Some((raw, meant));
                }
                other => meant.push(other),
            }
        }
        let raw = std::mem::take(&mut self.0);
        (!raw.is_empty()).then_some((raw, meant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_of_the_first_matching_line_is_found() {
        let key = ["db", "5432", "po:sts", "ad\\a"].map(str::to_owned);
        for (text, expected) in [
            ("db:5432:po\\:sts:ad\\\\a:secret", Some("secret")),
            ("*:*:*:*:one\n*:*:*:*:two", Some("one")),
            ("other:5432:*:*:one\r\ndb:5432:*:*:two\r\n", Some("two")),
            ("#*:*:*:*:comment\n*:5432:*:*:se\\:c\\\\ret:rest", Some("se:c\\ret")),
            ("db:5433:*:*:one\ndb:5432:posts:*:two\ndb:5432:*:ada:three", None),
            ("\\*:*:*:*:escaped", None),
            ("db:5432:*:*", None),
            ("db:5432:*:*:", None),
            ("", None),
        ] {
            assert_eq!(find_in(text, &key).as_deref(), expected, "{text:?}");
        }
    }
}
