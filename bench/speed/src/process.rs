//! Servers that are started for a measurement and ended after it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const PATIENCE: Duration = Duration::from_mins(1);

/// After which one that was told to end is killed.
const ENDING: Duration = Duration::from_secs(10);

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it on a free port, which the command is told, and waits until it takes connections.
    pub fn start(name: &str, command: impl FnOnce(u16) -> Command) -> Result<Self> {
        let port = free_port()?;
        let mut command = command(port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(server.address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended at its start: {status}");
            }
            if Instant::now() > end {
                bail!("{name} takes no connections");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// What it has resident now, in MiB.
    pub fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(text.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Told to end, so that it ends its own processes as well.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let end = Instant::now() + ENDING;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
