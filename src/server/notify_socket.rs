//! Messages to the service manager: the service is ready, stops, or is alive (systemd's `sd_notify`
//! protocol).
//!
//! A message is one datagram to the socket that `NOTIFY_SOCKET` names. Without a service manager
//! there is no socket, and messages are dropped.

use std::env::var_os;
use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The socket of the service manager. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct NotifySocket(Option<Arc<Target>>);

#[derive(Debug)]
struct Target {
    socket: UnixDatagram,
    address: SocketAddr,
    has_failed: AtomicBool,
}

impl NotifySocket {
    /// Opens the socket that the environment names. If it cannot be used, logs a warning: the service
    /// works without it.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(name) = var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match Target::open(&name) {
            Ok(target) => Self(Some(Arc::new(target))),
            Err(error) => {
                tracing::warn!(%error, "could not use NOTIFY_SOCKET");
                Self::default()
            }
        }
    }

    /// Reports that the service answers requests.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Reports that the service is shutting down.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Reports twice in each watchdog period that the service is alive, if the service manager asks
    /// for it. The reports come from a task, so they end when the runtime no longer runs tasks.
    pub fn start_watchdog(&self) {
        let text = |name| var_os(name).and_then(|value| value.into_string().ok());
        let (period, process) = (text("WATCHDOG_USEC"), text("WATCHDOG_PID"));
        let Some(pause) = watchdog_pause(period.as_deref(), process.as_deref(), std::process::id())
        else {
            return;
        };
        if self.0.is_none() {
            return;
        }
        let socket = self.clone();
        tokio::spawn(async move {
            loop {
                socket.send("WATCHDOG=1");
                tokio::time::sleep(pause).await;
            }
        });
    }

    fn send(&self, message: &str) {
        let Some(target) = &self.0 else { return };
        if let Err(error) = target.socket.send_to_addr(message.as_bytes(), &target.address)
            && !target.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, message, "could not notify the service manager");
        }
    }
}

impl Target {
    fn open(name: &OsStr) -> io::Result<Self> {
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        // A service manager that reads no messages must not stop the service.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, has_failed: AtomicBool::new(false) })
    }
}

/// Returns the address of a socket: a path, or after `@` an abstract name.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no absolute path")),
    }
}

/// Returns the pause between two reports. `None` if the process needs to send none: a child inherits
/// the variables of its parent.
fn watchdog_pause(period: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    let is_meant = process.is_none_or(|process| process.parse() == Ok(own));
    let period: u64 = period?.parse().ok().filter(|period| *period > 0 && is_meant)?;
    Some(Duration::from_micros(period) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_reports_twice_in_each_period_of_this_process() {
        for (period, process, expected) in [
            (Some("30000000"), None, Some(15_000_000)),
            (Some("30000000"), Some("7"), Some(15_000_000)),
            (Some("30000000"), Some("8"), None),
            (Some("30000000"), Some("x"), None),
            (Some("0"), Some("7"), None),
            (Some("x"), Some("7"), None),
            (None, Some("7"), None),
        ] {
            let pause = watchdog_pause(period, process, 7);
            assert_eq!(pause, expected.map(Duration::from_micros), "{period:?} {process:?}");
        }
    }

    #[test]
    fn socket_has_a_path_or_an_abstract_name() {
        assert!(address(OsStr::new("/run/notify")).unwrap().as_pathname().is_some());
        #[cfg(target_os = "linux")]
        assert!(address(OsStr::new("@notify")).unwrap().as_pathname().is_none());
        for name in ["notify", "vsock:2:1234", ""] {
            assert!(address(OsStr::new(name)).is_err(), "{name}");
        }
    }
}
