//! Commands that only tell: the document, the settings, whether a service is ready.

use std::io::Write as _;

use anyhow::Context as _;

use super::exit::Exit;
use super::{ServeArguments, SourceArguments};
use crate::api::openapi;
use crate::config::{Settings, effective_settings};
use crate::http::ask_ready;

pub(super) fn print_document() -> Result<(), Exit> {
    print(&openapi::document(""))
}

pub(super) fn print_settings(arguments: &SourceArguments) -> Result<(), Exit> {
    let source = arguments.read()?;
    print(&effective_settings(&source))?;
    Settings::load(&source)?;
    Ok(())
}

pub(super) fn check_health(arguments: &ServeArguments) -> Result<(), Exit> {
    let (settings, _) = arguments.read()?;
    // A service that listens everywhere also listens here.
    let host = match settings.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    };
    match ask_ready(host, settings.port, settings.tls.is_some()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Exit::No(vec!["the service is not ready".to_owned()])),
        Err(error) => Err(Exit::No(vec![format!("the service does not answer: {error}")])),
    }
}

pub(super) fn print(text: &str) -> Result<(), Exit> {
    let mut output = std::io::stdout();
    output
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { output.write_all(b"\n") })
        .context("standard output is closed")?;
    Ok(())
}
