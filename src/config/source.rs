//! Where the values of settings come from: the command line, then the environment, then `.env`;
//! a secret also from a file that `NAME_FILE` names. Names are compared without case, as the
//! reference does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Fault;
use super::dotenv;
use super::table::SETTINGS;

/// Names and values, whatever they mean.
#[derive(Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    /// Names in `.env` that no setting has.
    pub unknown: Vec<String>,
}

impl Source {
    /// Reads the environment and the `.env` file. Without a path it is `.env` in the working
    /// folder, which need not exist.
    ///
    /// # Errors
    /// A [`Fault`] if the file cannot be read.
    pub fn read(env_file: Option<&Path>) -> Result<Self, Fault> {
        let text = read_env_file(env_file)?;
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self::from_parts(&text, environment))
    }

    /// The same from parts, for whoever has no process's environment to read.
    #[must_use]
    pub fn from_parts(env_text: &str, environment: Vec<(String, String)>) -> Self {
        let lookup = |name: &str| {
            environment.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        };
        let mut source = Self::default();
        for (name, value) in dotenv::parse(env_text, &lookup).entries {
            let name = name.to_uppercase();
            if !is_known(&name) {
                source.unknown.push(name);
            } else if let Some(value) = value {
                source.values.insert(name, value);
            } else {
                source.values.remove(&name);
            }
        }
        let (exact, other): (Vec<_>, Vec<_>) =
            environment.into_iter().partition(|(name, _)| *name == name.to_uppercase());
        // Of two spellings the one in capitals counts.
        for (name, value) in other.into_iter().chain(exact) {
            source.set(&name.to_uppercase(), value);
        }
        source
    }

    /// A value that outranks what was there.
    pub fn set(&mut self, name: &str, value: String) {
        if is_known(name) {
            self.values.insert(name.to_owned(), value);
        }
    }

    /// The value without white space around, if one was given that is not blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.exactly(name).map(str::trim)
    }

    fn exactly(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// The value of a secret as it is, or the contents of the file that `NAME_FILE` names.
    pub(super) fn get_secret(&self, name: &'static str) -> Result<Option<String>, Fault> {
        let file_name = format!("{name}_FILE");
        match (self.exactly(name), self.get(&file_name)) {
            (Some(_), Some(_)) => Err(Fault::new(
                name,
                format!("both {name} and {file_name} are set"),
                "keep one of them",
            )),
            (Some(value), None) => Ok(Some(value.to_owned())),
            (None, None) => Ok(None),
            (None, Some(path)) => read_secret_file(name, Path::new(path)).map(Some),
        }
    }
}

fn is_known(name: &str) -> bool {
    SETTINGS.iter().any(|setting| {
        name == setting.name
            || (setting.is_secret && name.strip_suffix("_FILE") == Some(setting.name))
    })
}

fn read_env_file(path: Option<&Path>) -> Result<String, Fault> {
    let is_named = path.is_some();
    let path = path.map_or_else(|| PathBuf::from(".env"), Path::to_owned);
    match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
            Fault::new("--env-file", format!("{} is not UTF-8", path.display()), "save it as UTF-8")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
            Ok(String::new())
        }
        Err(error) => Err(Fault::new(
            "--env-file",
            format!("{} cannot be read: {error}", path.display()),
            "name a file that can be read",
        )),
    }
}

fn read_secret_file(name: &'static str, path: &Path) -> Result<String, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::new(
            name,
            format!("{} cannot be read: {error}", path.display()),
            "name a file of text that can be read",
        )
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
