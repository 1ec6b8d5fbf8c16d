//! libpq's environment variables. They complete an address, and never select PostgreSQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::parameters::{PARAMETERS, Parameters};

/// The environment variables that an address may need.
#[derive(Default, Clone)]
pub struct Environment(BTreeMap<String, String>);

/// The folder of the user, for `.pgpass` and `.postgresql`.
const HOME: &str = "HOME";

impl Environment {
    /// Adds the variable if an address may need it. Upper and lower case differ, as in libpq.
    pub fn set(&mut self, name: &str, value: &str) {
        if name == HOME || PARAMETERS.iter().any(|parameter| parameter.variable == Some(name)) {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Sets the parameters that have no value.
    pub(super) fn complete(&self, parameters: &mut Parameters) {
        parameters.complete(|variable| self.0.get(variable).map(String::as_str));
    }

    pub(super) fn home(&self) -> Option<&Path> {
        self.0.get(HOME).map(Path::new)
    }
}

/// Returns this file in the folder `.postgresql` of the user.
pub(super) fn in_user_folder(home: Option<&Path>, name: &str) -> Option<PathBuf> {
    home.map(|home| home.join(".postgresql").join(name))
}
