//! Sets up the log on standard error, as text for people or JSON for programs. The service never logs
//! a password, a token or a key.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::config::LogFormat;

/// Starts logging for the whole process, including panics. A second call does nothing.
pub fn start(format: LogFormat, level: LevelFilter) {
    std::panic::set_hook(Box::new(log_panic));
    // If standard error is closed, reporting that to standard error would panic.
    let builder = fmt().with_max_level(level).log_internal_errors(false);
    // An error means that logging has already started.
    let _ = match format {
        LogFormat::Text => builder.with_writer(io::stderr).with_ansi(is_terminal()).try_init(),
        LogFormat::Json => {
            builder.with_writer(|| AsciiJson(io::stderr())).json().flatten_event(true).try_init()
        }
    };
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

/// Writes JSON in ASCII. JSON allows some control characters unescaped, such as U+009B. Clients can
/// put them into a path, and terminals interpret them.
struct AsciiJson<W>(W);

impl<W: Write> Write for AsciiJson<W> {
    /// Writes a whole line: the logger never splits one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(escape(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes DEL and all characters that are not ASCII. In JSON only strings contain them, and
/// strings may escape them (RFC 8259, 7).
fn escape(json: &str) -> Cow<'_, str> {
    const DELETE: char = '\x7f';
    let is_plain = |character: char| character.is_ascii() && character != DELETE;
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_plain(character) {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}
