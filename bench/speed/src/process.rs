//! Starts servers for a measurement and stops them afterwards.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take until it accepts connections.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a server may take to end after SIGTERM, before SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port and waits until it accepts connections. `command` gets the
    /// port and returns the command.
    pub fn start(name: &str, command: impl FnOnce(u16) -> Command) -> Result<Self> {
        let port = free_port()?;
        let mut command = command(port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("could not start {name}"))?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(server.address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended during its start: {status}");
            }
            if Instant::now() > end {
                bail!("{name} accepts no connections on {}", server.address);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Returns the resident memory of the process, in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.with_context(|| format!("{path} has no VmRSS"))?;
        Ok(text.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Returns the processor time that the process has taken so far, in seconds.
    pub fn processor_time(&self) -> Result<f64> {
        let stat = ProcessTimes::read(self.child.id())?;
        Ok(stat.own)
    }
}

/// The processor times of a process, in seconds (proc(5)).
pub struct ProcessTimes {
    pub parent: u32,
    /// The time of all its threads, also of those that have ended.
    pub own: f64,
    /// The time of its children that have ended.
    pub ended_children: f64,
}

impl ProcessTimes {
    /// The unit of the kernel's times in `/proc` is a hundredth of a second on every platform.
    const TICKS_PER_SECOND: f64 = 100.0;

    /// # Errors
    /// If the process has ended.
    pub fn read(process: u32) -> Result<Self> {
        let path = format!("/proc/{process}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        // The name of the program is in parentheses and may contain blanks.
        let (_, rest) = text.rsplit_once(')').with_context(|| path.clone())?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        let seconds =
            |index| -> Result<f64> { Ok(field(index).parse::<f64>()? / Self::TICKS_PER_SECOND) };
        Ok(Self {
            parent: field(1).parse()?,
            own: seconds(11)? + seconds(12)?,
            ended_children: seconds(13)? + seconds(14)?,
        })
    }
}

/// Returns the time of the process and of its children, in seconds.
pub fn descendants_time(process: u32) -> Result<f64> {
    let main = ProcessTimes::read(process)?;
    let mut sum = main.own + main.ended_children;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // The process may have ended meanwhile.
        let Ok(times) = ProcessTimes::read(id) else { continue };
        if times.parent == process {
            sum += times.own;
        }
    }
    Ok(sum)
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM first, so that the server can end its own child processes.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let end = Instant::now() + STOP_TIMEOUT;
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
