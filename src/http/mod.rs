//! Asks a running service whether it is ready.

mod probe;

pub use probe::ask_ready;
