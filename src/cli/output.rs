//! Prints the output of commands.

use std::io::{ErrorKind, Write as _};

use super::exit::Exit;
use crate::config::SettingError;

/// The output of a command that found its work done.
pub(super) const NOTHING_TO_DO: &str = "nothing to do";

/// Prints a warning to standard error.
pub(super) fn print_warning(warning: &SettingError) {
    // If standard error is closed, there is no other way to report it.
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
}

/// Prints lines of a long list to standard output. Returns whether a reader still wants lines: one
/// that has closed the pipe, such as `head`, wants no more.
pub(super) fn print_while_read(lines: &str) -> Result<bool, Exit> {
    let mut output = std::io::stdout();
    was_read(output.write_all(lines.as_bytes()).and_then(|()| output.flush()))
}

/// Prints the text to standard output. Adds a line end if the text has none. A reader that has
/// closed the pipe, such as `head`, wants no more: the command continues without output, and its
/// exit code stays that of its work.
pub(super) fn print(text: &str) -> Result<(), Exit> {
    let mut output = std::io::stdout();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { output.write_all(b"\n") })
        .and_then(|()| output.flush());
    was_read(written).map(|_| ())
}

/// Returns whether the output has a reader.
fn was_read(written: std::io::Result<()>) -> Result<bool, Exit> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(anyhow::Error::new(error).context("could not write to standard output").into())
        }
    }
}
