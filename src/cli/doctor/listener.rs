//! The check of the port: it is free, or the service answers at it.

use std::io::ErrorKind;
use std::net::TcpListener;

use crate::cli::healthcheck::{ask_ready, connectable, explain, problem_of, url};
use crate::cli::serve::cannot_listen;
use crate::config::Settings;
use crate::store::inspection::Finding;

const ANOTHER: &str = "stop the other program, or give another PORT";

/// Listens for a moment. If the port is in use, asks the program that uses it.
pub(super) fn check_port(settings: &Settings) -> Finding {
    let (host, port) = (settings.host.as_str(), settings.port);
    match TcpListener::bind((host, port)) {
        Ok(_) if port == 0 => Finding::ok("the next start picks a free port"),
        Ok(_) => Finding::ok(format!("port {port} of {host} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => check_answer(settings),
        Err(error) => {
            let error = cannot_listen(settings, &error);
            Finding::fail(format!("{}: {}", error.name, error.problem), error.hint)
        }
    }
}

fn check_answer(settings: &Settings) -> Finding {
    let (host, has_tls) = (connectable(&settings.host), settings.tls.is_some());
    let url = url(host, settings.port, has_tls);
    let response = match ask_ready(host, settings.port, has_tls) {
        Ok(response) => response,
        Err(error) => {
            let detail = format!("{url}: the program that uses the port does not answer");
            return Finding::fail(format!("{detail}: {}", explain(&error)), ANOTHER);
        }
    };
    let text = String::from_utf8_lossy(&response);
    match problem_of(&response, has_tls) {
        None if text.ends_with(r#"{"status":"ok"}"#) => {
            Finding::ok(format!("{url}: the service is ready"))
        }
        Some(problem) if text.contains(r#"{"detail":"not ready: "#) => Finding::warn(
            format!("{url}: {problem}"),
            "see the checks of the database, and the log",
        ),
        Some(problem) => Finding::fail(format!("{url}: {problem}"), ANOTHER),
        None => Finding::fail(format!("{url}: another program answers"), ANOTHER),
    }
}
