//! `post-api settings`: prints the settings in force.

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use crate::config::{Settings, effective_settings};

/// Prints every setting, even if some of them are invalid. Reports the invalid ones afterwards.
pub(super) fn run(arguments: &SourceArguments) -> Result<(), Exit> {
    let source = arguments.read_with_warning()?;
    print(&effective_settings(&source))?;
    Settings::load(&source)?;
    Ok(())
}
