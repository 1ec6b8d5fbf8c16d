//! Sets up the log on standard error, as text for people or JSON for programs. The service never logs
//! a password, a token or a key.

mod ascii_json;
mod line_queue;

use std::io::{self, Write as _};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::ascii_json::AsciiJson;
use self::line_queue::LineQueue;
use crate::config::LogFormat;

/// The targets of the service's own events.
const TARGETS: [&str; 3] = ["post_api", "access", "audit"];

/// Maximum time that the end of the process waits until the log is written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// Starts logging for the whole process, including panics. A second call does nothing.
///
/// # Errors
/// If the thread that writes the log cannot be started.
pub fn start(format: LogFormat, level: LevelFilter) -> io::Result<()> {
    let report = |lines| tracing::warn!(lines, "log lines dropped since the start");
    let queue = LineQueue::start(io::stderr(), report)?;
    if QUEUE.set(queue.clone()).is_err() {
        return Ok(());
    }
    std::panic::set_hook(Box::new(log_panic));
    // Libraries repeat parts of requests and of responses in their events, such as a query.
    let targets = TARGETS.map(|target| (target, level)).into_iter().collect::<Targets>();
    // An event that cannot be written is counted by the queue.
    let builder = fmt().with_max_level(level).log_internal_errors(false);
    // An error means that another logger was installed before.
    let _ = match format {
        LogFormat::Text => builder
            .with_writer(move || queue.clone())
            .with_ansi(is_terminal())
            .finish()
            .with(targets)
            .try_init(),
        LogFormat::Json => builder
            .with_writer(move || AsciiJson(queue.clone()))
            .json()
            .flatten_event(true)
            .finish()
            .with(targets)
            .try_init(),
    };
    Ok(())
}

/// Prints the text to standard error, in its order among the events if logging has started.
pub fn print(text: &str) {
    // An error means that standard error is closed, and there is no other way to report it.
    let _ = match QUEUE.get() {
        Some(queue) => queue.clone().write_all(text.as_bytes()),
        None => io::stderr().write_all(text.as_bytes()),
    };
}

/// Waits until the log is written, for a second at most: its reader may have stopped.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush_within(FLUSH_TIMEOUT);
    }
}

/// Flushes the log when it is dropped, also after a panic.
pub struct FlushOnDrop;

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        flush();
    }
}

/// Logs a panic as one event. The default hook prints plain text of several lines, which is not JSON.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(cause = message, place, "panic");
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}
