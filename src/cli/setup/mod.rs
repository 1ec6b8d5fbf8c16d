//! Prepares the resources of a command: the runtime, the data folder, the database and the keys.

mod database;
mod keys;

use std::path::Path;

use anyhow::Context as _;

use super::exit::Exit;
use crate::config::SettingError;
use crate::file_access;

pub(super) use database::{
    check_exists, check_revision, describe, open_admin, open_operator, open_store, open_transfer,
};
pub(super) use keys::open_keys;

/// Runs the work of a command on this thread.
pub(super) fn block_on(work: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(work)
}

/// Creates the data folder if it is missing. Only its owner can access it.
///
/// # Errors
/// [`Exit::Settings`] if there is no such folder and it cannot be created.
pub(super) fn make_private_folder(folder: &Path) -> Result<(), Exit> {
    use std::os::unix::fs::DirBuilderExt as _;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|error| {
        let problem = format!("could not create the folder {}: {error}", folder.display());
        let hint = format!(
            "name a folder in which the user of the service, {}, can create files",
            file_access::user()
        );
        Exit::Settings(vec![SettingError::new("DATA_DIR", problem, hint)])
    })
}
