//! The hosts and ports of an address.

use std::net::IpAddr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

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

/// Returns a configuration for each host, which differs only in its host.
pub(super) fn split(config: &Config) -> Vec<Config> {
    let (addresses, ports) = (config.get_hostaddrs(), config.get_ports());
    let split = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let mut single = without_hosts(config);
        match host {
            Host::Tcp(name) => single.host(name.as_str()),
            Host::Unix(folder) => single.host_path(folder),
        };
        if let Some(address) = addresses.get(index) {
            single.hostaddr(*address);
        }
        if let Some(port) = ports.get(index).or_else(|| ports.first()) {
            single.port(*port);
        }
        single
    });
    split.collect()
}

/// The driver cannot remove a host from a configuration.
fn without_hosts(config: &Config) -> Config {
    let mut copy = Config::new();
    if let Some(user) = config.get_user() {
        copy.user(user);
    }
    if let Some(password) = config.get_password() {
        copy.password(password);
    }
    if let Some(database) = config.get_dbname() {
        copy.dbname(database);
    }
    if let Some(options) = config.get_options() {
        copy.options(options);
    }
    if let Some(name) = config.get_application_name() {
        copy.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        copy.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        copy.tcp_user_timeout(*timeout);
    }
    copy.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        copy.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        copy.keepalives_retries(retries);
    }
    copy.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs())
        .load_balance_hosts(config.get_load_balance_hosts());
    copy
}

fn list<'a>(parameters: &'a Parameters, name: &str) -> Vec<&'a str> {
    parameters.get(name).map_or_else(Vec::new, |text| text.split(',').collect())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::TargetSessionAttrs;

    use super::super::Address;
    use super::*;

    fn parse(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn each_host_keeps_every_other_parameter() {
        let given = "?connect_timeout=7&tcp_user_timeout=1500&keepalives_idle=7&keepalives_interval=8\
                     &keepalives_count=9&application_name=x&channel_binding=require&sslmode=require\
                     &load_balance_hosts=random&target_session_attrs=read-only";
        for parameters in ["", "?keepalives=0&connect_timeout=0", given] {
            let single = parse(&format!("postgresql://u:p@A:1111/d{parameters}"));
            assert_eq!(
                single.hosts(),
                [("A:1111".to_owned(), single.config.clone())],
                "{parameters}"
            );
        }
        let several = parse("postgresql://u@A:1111,B,[::1]:3/d?hostaddr=192.0.2.1,192.0.2.2,::1");
        let names: Vec<String> = several.hosts().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A:1111", "B:5432", "[::1]:3"]);
        let second = &several.hosts()[1].1;
        assert_eq!(second.get_hostaddrs(), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
    }

    /// Without a choice, a standby is refused: its rows may be stale.
    #[test]
    fn standby_is_refused_unless_it_is_asked_for() {
        use TargetSessionAttrs::{Any, ReadOnly, ReadWrite};
        for (url, expected) in [
            ("A/d", (Any, true)),
            ("A/d?target_session_attrs=primary", (Any, true)),
            ("A/d?target_session_attrs=read-write", (ReadWrite, false)),
            ("A/d?target_session_attrs=any", (Any, false)),
            ("A/d?target_session_attrs=standby", (ReadOnly, false)),
            ("A,B/d", (ReadWrite, false)),
            ("A,B/d?target_session_attrs=any", (ReadWrite, false)),
            ("A,B/d?target_session_attrs=primary", (Any, true)),
        ] {
            let address = parse(&format!("postgresql://u@{url}"));
            let found = (address.config.get_target_session_attrs(), address.needs_primary);
            assert_eq!(found, expected, "{url}");
        }
    }
}
