//! The hosts and ports of an address.

use std::net::IpAddr;

use tokio_postgres::Config;

use super::parameters::Parameters;
use super::{AddressError, Result};

/// Sets hosts, their IP addresses and ports: lists of the same length, or one port for all.
pub(super) fn set(config: &mut Config, parameters: &Parameters) -> Result<()> {
    let hosts = list(parameters, "host");
    let addresses = list(parameters, "hostaddr");
    if hosts.is_empty() && addresses.is_empty() {
        return Err(AddressError::new("it names no host"));
    }
    for address in &addresses {
        let parsed: IpAddr = address
            .trim()
            .parse()
            .map_err(|_| parameters.invalid("hostaddr", "is no list of IP addresses"))?;
        config.hostaddr(parsed);
    }
    if hosts.iter().any(|host| host.is_empty()) {
        return Err(parameters.invalid("host", "has an empty name"));
    }
    // The host is also the name in the certificate.
    for host in if hosts.is_empty() { &addresses } else { &hosts } {
        config.host(*host);
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(parameters.invalid("hostaddr", "has another number of elements than host"));
    }
    let ports = list(parameters, "port");
    if ports.len() > 1 && ports.len() != hosts.len().max(addresses.len()) {
        return Err(parameters.invalid("port", "has another number of elements than host"));
    }
    for port in ports {
        let port = port.trim();
        let port = if port.is_empty() { Some(5432) } else { port.parse().ok() };
        let port = port.filter(|port| *port > 0);
        config.port(port.ok_or_else(|| parameters.invalid("port", "is no port (1 to 65535)"))?);
    }
    Ok(())
}

fn list<'a>(parameters: &'a Parameters, name: &str) -> Vec<&'a str> {
    parameters.get(name).map_or_else(Vec::new, |text| text.split(',').collect())
}
