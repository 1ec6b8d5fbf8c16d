//! Collects the values of settings. The command line takes precedence over the environment, and the
//! environment over `.env`. A secret may also come from the file that `NAME_FILE` names. Names are
//! compared without case, as in the reference service.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::SettingError;
use super::definitions::{CORS_ORIGINS, DATABASE_URL, SETTINGS};
use super::dotenv;
use super::file_permissions::exposed_file;
use super::similar_names::{shown_name, similar_name};
use crate::file_access;
use crate::store::postgres::Environment;

/// Names and values of settings, not validated yet.
#[derive(Default)]
pub struct Source {
    values: BTreeMap<String, (Precedence, String)>,
    /// libpq's variables. Like libpq, the service does not look for them in `.env`.
    pub(super) environment: Environment,
    /// Numbers of the lines of `.env` that set no setting. The log has only their numbers: a secret
    /// may stand where a name should stand.
    pub unknown_lines: Vec<usize>,
    /// Numbers of the lines of `.env` that could not be parsed, for example because of an open quote.
    pub unreadable_lines: Vec<usize>,
    /// Names in `.env` that differ a little from the name of a setting.
    pub(super) errors: Vec<SettingError>,
    pub(super) warnings: Vec<SettingError>,
    /// Names in the environment that are no settings.
    unknown_variables: Vec<String>,
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
    /// folder. Like the reference service, this one passes over a `.env` that is missing or is not a
    /// file.
    ///
    /// # Errors
    /// [`SettingError`] if the file cannot be read, or if the value of a setting is not Unicode.
    pub fn read(env_file: Option<&Path>) -> Result<Self, SettingError> {
        let (text, exposed) = read_env_file(env_file)?;
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
        let mut source = Self::from_parts(&text, environment);
        let has_secret = SETTINGS.iter().any(|setting| {
            let value = source.get_with_precedence(setting.name);
            setting.is_secret && value.is_some_and(|(origin, _)| origin == Precedence::File)
        });
        source.warnings.extend(exposed.filter(|_| has_secret));
        Ok(source)
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
        for ((written, value), line) in parsed.entries.into_iter().zip(parsed.entry_lines) {
            let name = written.to_uppercase();
            if !is_known(&name) {
                source.add_unknown(&written, line);
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

    /// Other programs may read the same file, so only a name that looks like a misspelling is an
    /// error.
    fn add_unknown(&mut self, written: &str, line: usize) {
        let Some(meant) = similar_name(written) else {
            self.unknown_lines.push(line);
            return;
        };
        let name = match shown_name(written) {
            Some(name) => format!("{name} in line {line} of the env file"),
            None => format!("line {line} of the env file"),
        };
        let hint =
            format!("did you mean {meant}=? Otherwise rename it, or put it into another file");
        self.errors.push(SettingError::new(&name, "is no setting", hint));
    }

    /// Returns each variable of the environment that looks like a misspelling of a setting that has
    /// no value, with the name of the setting. Other programs share the environment, so such a name
    /// is not an error, and short names are left out.
    #[must_use]
    pub fn misspelt_variables(&self) -> Vec<(&str, String)> {
        const SHORTEST: usize = 10;
        let unknown = self.unknown_variables.iter().filter(|name| name.len() >= SHORTEST);
        let similar = unknown.filter_map(|name| Some((name.as_str(), similar_name(name)?)));
        similar.filter(|(_, meant)| self.get(meant).is_none()).collect()
    }

    /// Returns a warning if the command line contains a password. Every user of the machine can read
    /// the command line of a process.
    #[must_use]
    pub fn password_on_command_line(&self) -> Option<SettingError> {
        let (precedence, url) = self.get_with_precedence(DATABASE_URL.name)?;
        let is_exposed = precedence == Precedence::CommandLine && has_password(url);
        is_exposed.then(|| {
            let problem = "has a password, which everyone on this machine can read in the list of \
                           processes";
            let hint = "set DATABASE_URL in the environment or the env file, or DATABASE_URL_FILE";
            SettingError::new("--database-url", problem, hint)
        })
    }

    /// Adds a value from the command line.
    pub fn set(&mut self, name: &str, value: String) {
        self.insert(Precedence::CommandLine, name.to_owned(), value);
    }

    fn insert(&mut self, precedence: Precedence, name: String, value: String) {
        if is_known(&name) {
            self.values.insert(name, (precedence, value));
        } else {
            self.unknown_variables.push(name);
        }
    }

    /// Returns whether there is a value, or for a secret the name of a file with the value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some()
    }

    /// Returns the trimmed value. A blank value counts as missing, except for `CORS_ORIGINS`: a list
    /// without an origin allows none, and its default allows all.
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
        let is_given = !value.trim().is_empty() || name == CORS_ORIGINS.name;
        is_given.then_some((*precedence, value.as_str()))
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

/// Returns whether a URL has a password: after the name of its user, or as a parameter.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let (before, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let in_user = user.split_once(':').is_some_and(|(_, password)| !password.is_empty());
    let in_parameters = parameters.split('&').filter_map(|parameter| parameter.split_once('='));
    in_user
        || in_parameters
            .into_iter()
            .any(|(name, value)| name.ends_with("password") && !value.is_empty())
}

fn is_known(name: &str) -> bool {
    SETTINGS.iter().any(|setting| {
        name == setting.name
            || (setting.is_secret && name.strip_suffix("_FILE") == Some(setting.name))
    })
}

/// Returns the text of the file, and a warning if others can access the file.
fn read_env_file(path: Option<&Path>) -> Result<(String, Option<SettingError>), SettingError> {
    const NAME: &str = "--env-file";
    let path = match path {
        Some(path) => path.to_owned(),
        None if Path::new(".env").is_file() => PathBuf::from(".env"),
        None => return Ok((String::new(), None)),
    };
    let bytes = file_access::read(&path).map_err(|error| {
        let problem = format!("{} cannot be read: {error}", path.display());
        SettingError::new(NAME, problem, "name a file that can be read")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let problem = format!("{} is not UTF-8", path.display());
        SettingError::new(NAME, problem, "save it as UTF-8")
    })?;
    Ok((text, exposed_file(&path, NAME)))
}

/// Whether the path is in a folder that it names. Otherwise the value may be the secret itself, so
/// errors do not show it.
fn has_existing_folder(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| folder.parent().is_some());
    folder.is_some_and(|folder| !folder.as_os_str().is_empty() && folder.is_dir())
}

fn read_secret_file(name: &'static str, path: &Path) -> Result<String, SettingError> {
    let unreadable = |error: &dyn Display| {
        let problem = format!("{} cannot be read: {error}", path.display());
        SettingError::new(name, problem, "name a text file that can be read")
    };
    if !path.exists() && !has_existing_folder(path) {
        let problem = format!("{name}_FILE names a file that does not exist");
        let hint = format!("name an existing file, or put the secret itself into {name}");
        return Err(SettingError::new(name, problem, hint));
    }
    let bytes = file_access::read(path).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&"it is not UTF-8"))?;
    if text.trim().is_empty() {
        let problem = format!("{} is empty", path.display());
        return Err(SettingError::new(name, problem, "put the secret into it"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
