//! Collects the values of settings. The command line takes precedence over the environment, and the
//! environment over `.env`. A secret may also come from the file that `NAME_FILE` names. Names are
//! compared without case, as in the reference service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::SettingError;
use super::definitions::SETTINGS;
use super::dotenv;
use crate::store::postgres::Environment;

/// Names and values of settings, not validated yet.
#[derive(Default)]
pub struct Source {
    values: BTreeMap<String, (Precedence, String)>,
    /// libpq's variables. Like libpq, the service does not look for them in `.env`.
    pub(super) environment: Environment,
    /// Names in `.env` that are not settings.
    pub unknown: Vec<String>,
    /// Numbers of the lines of `.env` that could not be parsed, for example because of an open quote.
    pub unreadable_lines: Vec<usize>,
}

/// The origin of a value. The variants are in ascending order: a later one overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precedence {
    File,
    Environment,
    CommandLine,
}

impl Source {
    /// Reads the environment and the `.env` file. Without a path the file is `.env` in the working
    /// folder, and it may be missing.
    ///
    /// # Errors
    /// [`SettingError`] if the file cannot be read, or if the value of a setting is not Unicode.
    pub fn read(env_file: Option<&Path>) -> Result<Self, SettingError> {
        let text = read_env_file(env_file)?;
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => environment.push((name, value)),
                // One of libpq's variables, which may be needed later.
                Err(value) if name.starts_with("PG") => {
                    environment.push((name, value.to_string_lossy().into_owned()));
                }
                Err(_) if !is_known(&name.to_uppercase()) => {}
                Err(_) => {
                    return Err(SettingError::new(&name, "is not Unicode", "give it as UTF-8"));
                }
            }
        }
        Ok(Self::from_parts(&text, environment))
    }

    /// Returns the source for the text of a `.env` file and an environment.
    #[must_use]
    pub fn from_parts(env_text: &str, environment: Vec<(String, String)>) -> Self {
        let lookup = |name: &str| {
            environment.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        };
        let parsed = dotenv::parse(env_text, &lookup);
        let mut source = Self { unreadable_lines: parsed.unreadable_lines, ..Self::default() };
        for (name, value) in &environment {
            source.environment.set(name, value);
        }
        for (name, value) in parsed.entries {
            let name = name.to_uppercase();
            if !is_known(&name) {
                source.unknown.push(name);
            } else if let Some(value) = value {
                source.insert(Precedence::File, name, value);
            } else {
                source.values.remove(&name);
            }
        }
        let (exact, other): (Vec<_>, Vec<_>) =
            environment.into_iter().partition(|(name, _)| *name == name.to_uppercase());
        // Names in capitals are inserted last, so they override other spellings.
        for (name, value) in other.into_iter().chain(exact) {
            source.insert(Precedence::Environment, name.to_uppercase(), value);
        }
        source
    }

    /// Adds a value from the command line.
    pub fn set(&mut self, name: &str, value: String) {
        self.insert(Precedence::CommandLine, name.to_owned(), value);
    }

    fn insert(&mut self, precedence: Precedence, name: String, value: String) {
        if is_known(&name) {
            self.values.insert(name, (precedence, value));
        }
    }

    /// Returns whether there is a value, or for a secret the name of a file with the value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some()
    }

    /// Returns the trimmed value. A blank value counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.get_with_precedence(name).map(|(_, value)| value.trim())
    }

    /// Returns the value if it is set but blank.
    pub(super) fn blank(&self, name: &str) -> Option<String> {
        let (_, value) = self.values.get(name)?;
        value.trim().is_empty().then(|| value.clone())
    }

    fn get_with_precedence(&self, name: &str) -> Option<(Precedence, &str)> {
        let (precedence, value) = self.values.get(name)?;
        (!value.trim().is_empty()).then_some((*precedence, value.as_str()))
    }

    /// Returns the untrimmed value of a secret, or the content of the file that `NAME_FILE` names,
    /// whichever has the higher precedence.
    pub(super) fn get_secret(&self, name: &'static str) -> Result<Option<String>, SettingError> {
        if let Some(path) = self.secret_file(name) {
            return read_secret_file(name, path).map(Some);
        }
        let file_name = format!("{name}_FILE");
        match (self.get_with_precedence(name), self.get_with_precedence(&file_name)) {
            (Some((own, _)), Some((of_file, _))) if own == of_file => Err(SettingError::new(
                name,
                format!("both {name} and {file_name} are set"),
                "keep one of them",
            )),
            (value, _) => Ok(value.map(|(_, value)| value.to_owned())),
        }
    }

    /// Returns the file that a secret comes from, unless the value itself has the same or a higher
    /// precedence.
    pub(super) fn secret_file(&self, name: &str) -> Option<&Path> {
        let (precedence, path) = self.get_with_precedence(&format!("{name}_FILE"))?;
        let is_outranked = self.get_with_precedence(name).is_some_and(|(own, _)| own >= precedence);
        (!is_outranked).then(|| Path::new(path.trim()))
    }
}

fn is_known(name: &str) -> bool {
    SETTINGS.iter().any(|setting| {
        name == setting.name
            || (setting.is_secret && name.strip_suffix("_FILE") == Some(setting.name))
    })
}

fn read_env_file(path: Option<&Path>) -> Result<String, SettingError> {
    let is_named = path.is_some();
    let path = path.map_or_else(|| PathBuf::from(".env"), Path::to_owned);
    match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
            let problem = format!("{} is not UTF-8", path.display());
            SettingError::new("--env-file", problem, "save it as UTF-8")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
            Ok(String::new())
        }
        Err(error) => {
            let problem = format!("{} cannot be read: {error}", path.display());
            Err(SettingError::new("--env-file", problem, "name a file that can be read"))
        }
    }
}

fn read_secret_file(name: &'static str, path: &Path) -> Result<String, SettingError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem = format!("{} cannot be read: {error}", path.display());
        SettingError::new(name, problem, "name a text file that can be read")
    })?;
    if text.trim().is_empty() {
        let problem = format!("{} is empty", path.display());
        return Err(SettingError::new(name, problem, "put the secret into it"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
