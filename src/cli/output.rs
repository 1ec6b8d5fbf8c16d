//! Prints the output of commands.

use std::io::{ErrorKind, Write as _};

use super::exit::Exit;
use crate::config::SettingError;

/// Prints a warning to standard error.
pub(super) fn print_warning(warning: &SettingError) {
    // If standard error is closed, there is no other way to report it.
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
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
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("could not write to standard output").into())
        }
        _ => Ok(()),
    }
}
