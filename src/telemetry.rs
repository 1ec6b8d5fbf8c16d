//! Logs: to standard error, in lines for people or in JSON for machines. What is logged is said
//! where it happens; passwords, tokens and keys are logged nowhere.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::config::LogFormat;

/// Starts logging for the whole process. A second call does nothing.
pub fn start(format: LogFormat, level: LevelFilter) {
    // When nobody reads the lines any more, to complain in the same place would panic.
    let builder =
        fmt().with_max_level(level).with_writer(std::io::stderr).log_internal_errors(false);
    // An error means that logging was started before.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
