//! Clients that mean harm, against the binary as its users run it. While they are at it, clients that
//! behave are all answered, and rightly; the memory of the process stays below a bound; and when they
//! are gone, so is all that was held for them.
//!
//! On the embedded store, but for lists, which each store reads in its own way: what is attacked lies
//! before any store, which a hostile client reaches only by requests that are like everybody's. What a
//! single such request gets is shown in `process`.

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

/// In KiB, as the kernel counts.
const MIB: u64 = 1024;
