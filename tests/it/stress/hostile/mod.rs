//! Hostile clients against the binary as operators run it. During an attack all requests of
//! well-behaved clients get the right response, and the memory of the process stays below a limit.
//! Afterwards the service has freed the memory and the connections of the attack.
//!
//! The attacks use the embedded store, as their target is code that runs before the store. Only
//! lists run on both, as each store reads them in its own way.
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
