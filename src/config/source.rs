//! Where the values of settings come from: the command line, then the environment, then `.env`;
//! a secret also from a file that `NAME_FILE` names. Names are compared without case, as the
//! reference does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::SettingError;
use super::definitions::SETTINGS;
use super::dotenv;

/// Names and values, whatever they mean.
#[derive(Default)]
pub struct Source {
    values: BTreeMap<String, (Precedence, String)>,
    /// Names in `.env` that no setting has.
    pub unknown: Vec<String>,
    /// Lines of `.env` that cannot be read, as a quote that does not end.
    pub unreadable_lines: Vec<usize>,
}

/// Of values from several places the highest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precedence {
    File,
    Environment,
    CommandLine,
}

impl Source {
    /// Reads the environment and the `.env` file. Without a path it is `.env` in the working
    /// folder, which need not exist.
    ///
    /// # Errors
    /// A [`Fault`] if the file cannot be read, or a setting's value is not Unicode.
    pub fn read(env_file: Option<&Path>) -> Result<Self, SettingError> {
        let text = read_env_file(env_file)?;
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => environment.push((name, value)),
                Err(_) if !is_known(&name.to_uppercase()) => {}
                Err(_) => {
                    return Err(SettingError::new(&name, "is not Unicode", "give it as UTF-8"));
                }
            }
        }
        Ok(Self::from_parts(&text, environment))
    }

    /// The same from parts, for whoever has no process's environment to read.
    #[must_use]
    pub fn from_parts(env_text: &str, environment: Vec<(String, String)>) -> Self {
        let lookup = |name: &str| {
            environment.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        };
        let read = dotenv::parse(env_text, &lookup);
        let mut source = Self { unreadable_lines: read.unreadable_lines, ..Self::default() };
        for (name, value) in read.entries {
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
        // Of two spellings the one in capitals counts.
        for (name, value) in other.into_iter().chain(exact) {
            source.insert(Precedence::Environment, name.to_uppercase(), value);
        }
        source
    }

    /// A value of the command line: it outranks what was there.
    pub fn set(&mut self, name: &str, value: String) {
        self.insert(Precedence::CommandLine, name.to_owned(), value);
    }

    fn insert(&mut self, rank: Precedence, name: String, value: String) {
        if is_known(&name) {
            self.values.insert(name, (rank, value));
        }
    }

    /// Whether there is a value, or for a secret a file of it.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some()
    }

    /// The value without white space around, if one was given that is not blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.ranked(name).map(|(_, value)| value.trim())
    }

    fn ranked(&self, name: &str) -> Option<(Precedence, &str)> {
        let (rank, value) = self.values.get(name)?;
        (!value.trim().is_empty()).then_some((*rank, value.as_str()))
    }

    /// The value of a secret as it is, or the contents of the file that `NAME_FILE` names; of both
    /// the one of the higher rank.
    pub(super) fn get_secret(&self, name: &'static str) -> Result<Option<String>, SettingError> {
        if let Some(path) = self.secret_file(name) {
            return read_secret_file(name, path).map(Some);
        }
        let file_name = format!("{name}_FILE");
        match (self.ranked(name), self.ranked(&file_name)) {
            (Some((rank, _)), Some((file_rank, _))) if rank == file_rank => Err(SettingError::new(
                name,
                format!("both {name} and {file_name} are set"),
                "keep one of them",
            )),
            (value, _) => Ok(value.map(|(_, value)| value.to_owned())),
        }
    }

    /// The file that a secret is read from, if it is not given as it is.
    pub(super) fn secret_file(&self, name: &str) -> Option<&Path> {
        let (rank, path) = self.ranked(&format!("{name}_FILE"))?;
        let is_outranked = self.ranked(name).is_some_and(|(own, _)| own >= rank);
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
            SettingError::new(
                "--env-file",
                format!("{} is not UTF-8", path.display()),
                "save it as UTF-8",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
            Ok(String::new())
        }
        Err(error) => Err(SettingError::new(
            "--env-file",
            format!("{} cannot be read: {error}", path.display()),
            "name a file that can be read",
        )),
    }
}

fn read_secret_file(name: &'static str, path: &Path) -> Result<String, SettingError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        SettingError::new(
            name,
            format!("{} cannot be read: {error}", path.display()),
            "name a file of text that can be read",
        )
    })?;
    if text.trim().is_empty() {
        let problem = format!("{} is empty", path.display());
        return Err(SettingError::new(name, problem, "put the secret into it"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
