//! Selects the database that the settings name.

use std::path::{Path, PathBuf};

use super::definitions as row;
use super::parse::Parser;
use super::plaintext_warnings::plaintext_to_database;
use super::setting::Setting;
use super::{Database, SettingError};
use crate::store::postgres::Address;

impl Parser<'_> {
    /// Returns the database that `DATABASE_URL` names, else the database of the five settings that
    /// the reference service has, else the embedded database.
    pub(super) fn database(&mut self, data_dir: &Path) -> Database {
        const HINT: &str = "give `sqlite:PATH`, `postgresql://USER:PASSWORD@HOST/NAME`, \
                            or nothing for the embedded database in DATA_DIR";
        let has_prepared_statements = self.switch(&row::DATABASE_PREPARED_STATEMENTS);
        let five = self.five_settings();
        let (setting, address) = match (self.secret(&row::DATABASE_URL), five) {
            (Some(url), _) if url.starts_with("sqlite:") => match sqlite_path(&url) {
                Some(path) => return Database::Sqlite(path),
                None => (&row::DATABASE_URL, Err("names no file".to_owned())),
            },
            (Some(url), _) => {
                let address = Address::parse(url.trim());
                (&row::DATABASE_URL, address.map_err(|error| format!("cannot be used: {error}")))
            }
            (None, Some(address)) => (&row::DATABASE_HOSTNAME, address),
            (None, None) => return Database::Sqlite(data_dir.join("posts.db")),
        };
        match address {
            Ok(address) => {
                self.warnings.extend(plaintext_to_database(&address, setting.name));
                Database::Postgres(Box::new(address.with_prepared(has_prepared_statements)))
            }
            Err(problem) => {
                self.errors.push(SettingError::new(setting.name, problem, HINT));
                Database::Sqlite(PathBuf::new())
            }
        }
    }

    /// Returns the database of the five settings that the reference service has. Either all of them
    /// must be set or none.
    fn five_settings(&mut self) -> Option<Result<Address, String>> {
        const FIVE: [&Setting; 5] = [
            &row::DATABASE_HOSTNAME,
            &row::DATABASE_PORT,
            &row::DATABASE_NAME,
            &row::DATABASE_USERNAME,
            &row::DATABASE_PASSWORD,
        ];
        let password = self.secret(&row::DATABASE_PASSWORD);
        let is_missing = |setting: &Setting| {
            if setting.is_secret { password.is_none() } else { !self.is_given(setting) }
        };
        let missing: Vec<&Setting> =
            FIVE.into_iter().filter(|setting| is_missing(setting)).collect();
        if missing.len() == FIVE.len() || self.source.is_given(row::DATABASE_URL.name) {
            return None;
        }
        for setting in &missing {
            let hint = "set all five of DATABASE_HOSTNAME, DATABASE_PORT, DATABASE_PASSWORD, \
                        DATABASE_NAME and DATABASE_USERNAME, or none";
            self.errors.push(SettingError::new(setting.name, "is missing", hint));
        }
        if !missing.is_empty() {
            return None;
        }
        let port = self.int(&row::DATABASE_PORT);
        let [host, name, user] =
            [&row::DATABASE_HOSTNAME, &row::DATABASE_NAME, &row::DATABASE_USERNAME]
                .map(|setting| self.text(setting));
        let address = Address::from_parts(host, port, name, user, &password.unwrap_or_default());
        Some(address.map_err(|error| error.to_string()))
    }
}

/// Returns the file that `sqlite:PATH` names. `None` for an empty path and for `:memory:`: with these
/// SQLite would give each connection its own temporary database.
fn sqlite_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path).trim();
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}
