//! Selects the database that the settings name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definitions as row;
use super::parse::Parser;
use super::plaintext_warnings::plaintext_to_database;
use super::setting::Setting;
use super::{Database, SettingError};
use crate::store::postgres::{Address, AddressError, UrlParts};

/// A rejected URL of a file: the problem and the hint.
type Rejected = (&'static str, &'static str);

impl Parser<'_> {
    /// Returns the database that `DATABASE_URL` names, else the database of the five settings that
    /// the reference service has, else the embedded database. libpq's variables complete an
    /// address; they do not select PostgreSQL.
    pub(super) fn database(&mut self, data_dir: &Path) -> Database {
        let is_prepared = self.switch(&row::DATABASE_PREPARED_STATEMENTS);
        let pool_size = self.int(&row::DATABASE_POOL_SIZE);
        let failover_wait = self.int(&row::DATABASE_FAILOVER_WAIT_SECONDS);
        let confirms_reads = self.switch(&row::DATABASE_CONFIRM_READS);
        let five = self.five_settings();
        let (setting, address) = match (self.secret(&row::DATABASE_URL), five) {
            (Some(url), _) if url.trim_start().starts_with("sqlite") => {
                return Database::Sqlite(self.sqlite_file(&url));
            }
            (Some(url), _) => {
                let address = Address::parse_in(url.trim(), &self.source.environment);
                (&row::DATABASE_URL, address)
            }
            (None, Some(address)) => (&row::DATABASE_HOSTNAME, address),
            (None, None) => return Database::Sqlite(data_dir.join("posts.db")),
        };
        let usable = address.and_then(|address| address.check_files().map(|()| address));
        match usable {
            Ok(address) => {
                self.warnings.extend(plaintext_to_database(&address, setting.name));
                self.warnings.extend(address.warnings().iter().map(|problem| {
                    let hint = "a password in the settings takes precedence";
                    SettingError::new("PGPASSFILE", problem, hint)
                }));
                if confirms_reads && address.accepts_standby() {
                    self.errors.push(SettingError::new(
                        row::DATABASE_CONFIRM_READS.name,
                        "is on, but target_session_attrs accepts a standby",
                        "remove target_session_attrs from the URL, or set `off`",
                    ));
                }
                let address = address
                    .with_prepared(is_prepared)
                    .with_pool_size(pool_size)
                    .with_confirmed_reads(confirms_reads)
                    .with_failover_wait(Duration::from_secs(failover_wait));
                Database::Postgres(Box::new(address))
            }
            Err(error) => {
                self.reject_address(setting, &error);
                Database::Sqlite(PathBuf::new())
            }
        }
    }

    fn reject_address(&mut self, setting: &Setting, error: &AddressError) {
        const URL_HINT: &str = "give `sqlite:PATH`, `postgresql://USER:PASSWORD@HOST/NAME`, \
                                or nothing for the embedded database in DATA_DIR";
        const PART_HINT: &str = "correct it, or set DATABASE_URL, which has more options";
        const VARIABLE_HINT: &str =
            "unset the variable, or give the parameter another value in DATABASE_URL";
        for fault in error.faults() {
            let (name, hint) = match fault.origin {
                Some(name) if name.starts_with("PG") => (name, VARIABLE_HINT),
                Some(name) => (name, PART_HINT),
                None if setting.name == row::DATABASE_URL.name => (setting.name, URL_HINT),
                None => (setting.name, PART_HINT),
            };
            let problem = format!("cannot be used: {}", fault.problem);
            self.errors.push(SettingError::new(name, problem, hint));
        }
    }

    fn sqlite_file(&mut self, url: &str) -> PathBuf {
        sqlite_path(url.trim()).unwrap_or_else(|(problem, hint)| {
            let problem = format!("cannot be used: {problem}");
            self.errors.push(SettingError::new(row::DATABASE_URL.name, problem, hint));
            PathBuf::new()
        })
    }

    /// Returns the database of the five settings that the reference service has. Either all of them
    /// must be set or none. Only the password may be empty.
    fn five_settings(&mut self) -> Option<Result<Address, AddressError>> {
        const FIVE: [&Setting; 5] = [
            &row::DATABASE_HOSTNAME,
            &row::DATABASE_PORT,
            &row::DATABASE_NAME,
            &row::DATABASE_USERNAME,
            &row::DATABASE_PASSWORD,
        ];
        let password = self.secret(&row::DATABASE_PASSWORD);
        if self.source.is_given(row::DATABASE_URL.name) {
            return None;
        }
        let is_given = |setting: &Setting| {
            if setting.is_secret { password.is_some() } else { self.is_given(setting) }
        };
        if !FIVE.into_iter().any(is_given) {
            return None;
        }
        let password = password.or_else(|| self.source.blank(row::DATABASE_PASSWORD.name));
        let is_missing = |setting: &Setting| {
            if setting.is_secret { password.is_none() } else { !self.is_given(setting) }
        };
        let missing: Vec<&Setting> =
            FIVE.into_iter().filter(|setting| is_missing(setting)).collect();
        for setting in &missing {
            let hint = "set all five of DATABASE_HOSTNAME, DATABASE_PORT, DATABASE_PASSWORD, \
                        DATABASE_NAME and DATABASE_USERNAME, or none";
            self.errors.push(SettingError::new(setting.name, "is missing", hint));
        }
        let errors = self.errors.len();
        let port = if missing.is_empty() { self.int(&row::DATABASE_PORT) } else { 0 };
        if !missing.is_empty() || self.errors.len() > errors {
            return None;
        }
        let parts = UrlParts {
            hostname: self.text(&row::DATABASE_HOSTNAME),
            port,
            name: self.text(&row::DATABASE_NAME),
            username: self.text(&row::DATABASE_USERNAME),
            password: password.as_deref().unwrap_or_default(),
        };
        Some(Address::from_parts(parts, &self.source.environment))
    }
}

/// Returns the file that a URL names: `sqlite:PATH`, or `SQLAlchemy`'s form, in which the path
/// follows three slashes. An absolute path then begins with a fourth.
fn sqlite_path(url: &str) -> Result<PathBuf, Rejected> {
    const FORMS: &str = "give `sqlite:PATH`, or `sqlite:///PATH` with a fourth slash before an \
                         absolute path";
    const MEMORY: Rejected = (
        "it names a database in memory, which each connection would have for itself",
        "give a file, such as `sqlite:posts.db`",
    );
    let (scheme, rest) = url.split_once(':').ok_or(("it has no `:`", FORMS))?;
    let driver = scheme.strip_prefix("sqlite").unwrap_or_default();
    if !["", "+aiosqlite", "+pysqlite"].contains(&driver) {
        let hint = "give `sqlite:PATH`; a database that a driver encrypts cannot be opened";
        return Err(("its driver is not known", hint));
    }
    let path = match (rest.strip_prefix("///"), rest.strip_prefix("//")) {
        (Some(path), _) => path,
        (None, Some("")) => return Err(MEMORY),
        (None, Some(_)) => return Err(("its path follows two slashes", FORMS)),
        // SQLAlchemy has no URL with a driver and without slashes.
        (None, None) if !driver.is_empty() => return Err(("it has no `://`", FORMS)),
        (None, None) => rest,
    };
    match path {
        "" if rest.is_empty() => Err(("it names no file", FORMS)),
        "" | ":memory:" => Err(MEMORY),
        _ if path.contains('?') => {
            let hint = "remove the question mark and everything behind it";
            Err(("it has parameters, which are not supported", hint))
        }
        _ if path.starts_with("file:") => {
            Err(("it names its file by another URL", "give the path without `file:`"))
        }
        _ if path.starts_with('~') => {
            Err(("`~` is not replaced by the home folder", "give the whole path"))
        }
        _ if path.contains('\0') => Err(("its path has a zero byte", FORMS)),
        _ => Ok(PathBuf::from(path)),
    }
}
