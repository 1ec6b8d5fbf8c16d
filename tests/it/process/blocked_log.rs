//! Standard error that cannot be written: the service answers and ends all the same.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Service;
use crate::support::Wire;

/// Longer than any wait of a test on a busy machine.
const LONG: Duration = Duration::from_mins(1);

/// Requests whose lines in the log take more than the queue of the log holds.
const REQUESTS: usize = 400;
const PATH_LENGTH: usize = 15_000;

/// A service whose standard error only the test knows. It is killed when it is dropped.
struct Unread {
    child: Child,
    _folder: TempDir,
}

impl Unread {
    fn start(stderr: Stdio) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Service::command(folder.path());
        command.args(["serve", "--port", "0"]);
        command.env("ACCESS_LOG", "on").env("LOG_FORMAT", "json").stderr(stderr);
        Self { child: command.spawn().unwrap(), _folder: folder }
    }

    /// Waits until the process listens, and returns the port: the banner cannot be read.
    fn port(&self) -> u16 {
        let end = Instant::now() + LONG;
        loop {
            if let Some(port) = listening_port(self.child.id()) {
                return port;
            }
            assert!(Instant::now() < end, "the service does not listen");
            std::thread::yield_now();
        }
    }

    /// Sends requests with long paths. Each must be answered.
    fn send_requests(&self) {
        let path = format!("/{}", "x".repeat(PATH_LENGTH));
        let mut wire = Wire::connect(("127.0.0.1", self.port()));
        for _ in 0..REQUESTS {
            wire.call("GET", &path, "", None).unwrap().expect(404);
        }
    }

    fn terminate(&self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").arg(process).status().unwrap().success());
    }

    /// Waits for the end of the process, and returns its exit code.
    fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "the service does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the port on which the process listens, from proc(5).
fn listening_port(process: u32) -> Option<u16> {
    const LISTEN: &str = "0A";
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let sockets: Vec<String> = targets
        .filter_map(|target| {
            let name = target.to_str()?.strip_prefix("socket:[")?;
            Some(name.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_listening = fields[3] == LISTEN && sockets.iter().any(|socket| socket == fields[9]);
        let port = fields[1].rsplit(':').next()?;
        is_listening.then(|| u16::from_str_radix(port, 16).unwrap())
    })
}

/// Returns a full pipe. A thread waits to write more, so that it stays full.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    std::thread::spawn(move || filler.write_all(&vec![b'.'; 4 << 20]));
    (reader, writer.into())
}

/// Returns both ends of a terminal whose output is stopped, as by Ctrl-S.
fn stopped_terminal() -> (rustix::fd::OwnedFd, Stdio) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
    tcflow(&terminal, Action::OOff).unwrap();
    (controller, terminal.into())
}

#[test]
fn log_that_cannot_be_written_blocks_neither_responses_nor_shutdown() {
    let (_unread, pipe) = std::io::pipe().unwrap();
    let (_full, full) = full_pipe();
    let (closed, closing) = std::io::pipe().unwrap();
    drop(closed);
    let (_controller, terminal) = stopped_terminal();
    let full_disk = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (name, stderr) in [
        ("unread pipe", Stdio::from(pipe)),
        ("full pipe", full),
        ("closed pipe", closing.into()),
        ("stopped terminal", terminal),
        ("full disk", full_disk.into()),
    ] {
        let mut service = Unread::start(stderr);
        service.send_requests();
        service.terminate();
        assert_eq!(service.wait(), Some(0), "{name}");
    }
}

#[test]
fn failed_start_ends_although_its_message_cannot_be_written() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = TempDir::new().unwrap();
    let (_reader, stderr) = full_pipe();
    let mut command = Service::command(folder.path());
    let child = command.args(["serve", "--port", &port]).stderr(stderr).spawn().unwrap();
    assert_eq!(Unread { child, _folder: folder }.wait(), Some(2));
}

/// Returns the events of the log. Their lines are JSON.
fn events(log: &str) -> impl Iterator<Item = Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
}

#[test]
fn reader_that_comes_back_learns_how_many_lines_were_dropped() {
    let (mut reader, stderr) = std::io::pipe().unwrap();
    let mut service = Unread::start(stderr.into());
    service.send_requests();
    let reading = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    });
    service.send_requests();
    service.terminate();
    assert_eq!(service.wait(), Some(0));
    let log = reading.join().unwrap();
    let written = events(&log).filter(|event| event["target"] == "access").count();
    let dropped = events(&log)
        .filter(|event| event["message"] == "log lines dropped since the start")
        .map(|event| usize::try_from(event["lines"].as_u64().unwrap()).unwrap())
        .last();
    let dropped = dropped.unwrap_or_else(|| panic!("no report among {written} lines"));
    assert_eq!(written + dropped, 2 * REQUESTS);
}

/// Log lines keep their order relative to the banner, whose URL others wait for.
#[test]
fn file_gets_every_line_in_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let mut service = Unread::start(File::create(&path).unwrap().into());
    service.send_requests();
    service.terminate();
    assert_eq!(service.wait(), Some(0));
    let log = std::fs::read_to_string(path).unwrap();
    let messages: Vec<Value> = events(&log).map(|event| event["message"].clone()).collect();
    let position = |text: &str| messages.iter().position(|message| message == text).unwrap();
    assert!(position("serving") < position("draining connections"), "{messages:?}");
    assert_eq!(messages.last().unwrap(), "ended");
    assert_eq!(events(&log).filter(|event| event["target"] == "access").count(), REQUESTS);
}
