//! The service as a process: how it starts and ends, what it bears, and what it keeps to itself.

mod audit;
mod bodies;
mod drain;
mod forged_lines;
mod full_disk;
mod heads;
mod keys;
mod large;
mod least_rights;
mod legacy;
mod limits;
mod panic;
mod panic_lines;
mod postgres;
mod rate_limits;
mod replicas;
mod secrets;
mod smuggling;
mod stalled;
mod start;
mod tls;
mod tls_files;
mod warnings;
