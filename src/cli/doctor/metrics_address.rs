//! The check of `METRICS_ADDRESS`: it is free, or metrics of a service are at it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::cli::healthcheck::exchange;
use crate::cli::serve_metrics::cannot_listen;
use crate::config::Settings;
use crate::metrics::name;
use crate::store::inspection::Finding;

/// Time to connect, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are read of an answer. The metrics of a service are shorter.
const MAX_ANSWER: usize = 1024 * 1024;

/// Listens for a moment. If the address is in use, asks the program that uses it.
pub(super) fn check(settings: &Settings) -> Finding {
    let Some(address) = settings.metrics_address else {
        return Finding::ok("METRICS_ADDRESS is not set: there are no metrics");
    };
    match TcpListener::bind(address) {
        Ok(_) => judge_free(settings, address),
        Err(error) if error.kind() == ErrorKind::AddrInUse && has_metrics(address) => {
            Finding::ok(format!("a service has its metrics at {address}"))
        }
        Err(error) => {
            let error = cannot_listen(address, &error);
            Finding::fail(format!("{}: {}", error.name, error.problem), error.hint)
        }
    }
}

fn judge_free(settings: &Settings, address: SocketAddr) -> Finding {
    match settings.public_metrics() {
        Some(warning) => {
            Finding::warn(format!("{}: {}", warning.name, warning.problem), warning.hint)
        }
        None => Finding::ok(format!("{address} is free")),
    }
}

/// Whether the program at the address answers with metrics of this service.
fn has_metrics(address: SocketAddr) -> bool {
    let ask = || {
        let connection = TcpStream::connect_timeout(&connectable(address), TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        let answer = exchange(connection, "/metrics", MAX_ANSWER)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).contains(name::BUILD_INFO.name))
    };
    ask().unwrap_or(false)
}

/// A service that listens on all addresses also listens on the loopback address.
fn connectable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
