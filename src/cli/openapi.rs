//! `post-api openapi`: prints the OpenAPI document.

use super::exit::Exit;
use super::output::print;
use crate::api::openapi;

pub(super) fn run() -> Result<(), Exit> {
    print(&openapi::document(""))
}
