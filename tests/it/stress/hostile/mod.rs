//! Hostile clients against the binary as operators run it. During an attack all requests of
//! well-behaved clients get the right response, and the memory of the process stays below a limit.
//! Afterwards everything that the service held for the attack is freed.
//!
//! The attacks use the embedded store, as their target is the code before any store. Only lists run
//! on both, as each store reads them in its own way.
//!
//! Not here: responses to a single hostile request, see `process`.

mod backlog;
mod floods;
mod guessing;
mod idle;
mod logins;
mod nginx;
mod open_files;
mod oversized;
mod process_watch;
mod slow;
mod smuggling;
mod well_behaved;
mod zero_window;

/// One MiB in KiB, the unit of the kernel.
const MIB: u64 = 1024;
