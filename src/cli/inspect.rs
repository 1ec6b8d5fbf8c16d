//! Commands that only tell: the document, the settings, whether a service is ready.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;

use super::exit::Exit;
use super::{ServeArguments, SourceArguments};
use crate::api::openapi;
use crate::config::{Settings, effective};

/// How long a service may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn print_document() -> Result<(), Exit> {
    print(&openapi::document(""))
}

pub(super) fn print_settings(arguments: &SourceArguments) -> Result<(), Exit> {
    let source = arguments.read()?;
    print(&effective(&source))?;
    Settings::load(&source)?;
    Ok(())
}

pub(super) fn check_health(arguments: &ServeArguments) -> Result<(), Exit> {
    let (settings, _) = arguments.read()?;
    match ask(&settings.host, settings.port) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Exit::No(vec!["the service is not ready".to_owned()])),
        Err(error) => Err(Exit::No(vec![format!("the service does not answer: {error:#}")])),
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

fn ask(host: &str, port: u16) -> anyhow::Result<bool> {
    // A service that listens everywhere also listens here.
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    };
    let address = (host, port).to_socket_addrs()?.next().context("the host has no address")?;
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(4096).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
