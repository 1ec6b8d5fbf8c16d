//! `post-api openapi`: prints the OpenAPI document for the settings in force.

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use crate::api::openapi;
use crate::config::Settings;

pub(super) fn run(source: &SourceArguments) -> Result<(), Exit> {
    let settings = Settings::load(&source.read()?)?;
    print(&openapi::document(&settings.root_path, &settings.policy))
}
