//! Prepares the resources of a command: the runtime, the data folder, the database and the keys.

mod database;
mod keys;

use std::path::Path;

use anyhow::Context as _;

use super::exit::Exit;

pub(super) use database::{check_revision, describe, open_admin, open_store};
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
pub(super) fn make_private_folder(folder: &Path) -> Result<(), Exit> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("could not create the folder {}", folder.display()))?;
    Ok(())
}
