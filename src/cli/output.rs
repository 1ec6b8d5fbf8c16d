//! Prints the output of commands.

use std::io::Write as _;

use anyhow::Context as _;

use super::exit::Exit;

/// Prints the text to standard output. Adds a line end if the text has none.
pub(super) fn print(text: &str) -> Result<(), Exit> {
    let mut output = std::io::stdout();
    output
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { output.write_all(b"\n") })
        .context("could not write to standard output")?;
    Ok(())
}
