//! Logs: to standard error, in lines for people or in JSON for machines. What is logged is said
//! where it happens; passwords, tokens and keys are logged nowhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::config::LogFormat;

/// Starts logging for the whole process, panics included. A second call does nothing.
pub fn start(format: LogFormat, level: LevelFilter) {
    std::panic::set_hook(Box::new(log_panic));
    // When nobody reads the lines any more, to complain in the same place would panic.
    let builder = fmt().with_max_level(level).log_internal_errors(false);
    // An error means that logging was started before.
    let _ = match format {
        LogFormat::Text => builder.with_writer(io::stderr).with_ansi(is_terminal()).try_init(),
        LogFormat::Json => {
            builder.with_writer(|| AsciiJson(io::stderr())).json().flatten_event(true).try_init()
        }
    };
}

/// As an event like all others: what stands in a panic's text would else begin lines of its own, and in
/// JSON be none.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(cause = message, place, "a panic");
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// Lines of JSON in ASCII. JSON lets some control characters stand as they are, such as U+009B, which
/// terminals obey, and clients can put them into a path.
struct AsciiJson<W>(W);

impl<W: Write> Write for AsciiJson<W> {
    /// The logger writes a line in one piece.
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

/// What is not ASCII stands in strings alone, and there may be escaped (RFC 8259, 7).
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
