//! Every test that needs more than one module of the service, in one binary.
//!
//! The tests of the API are laid out like the URLs, the others like the modules of `src/`.

#![cfg(test)]
#![expect(clippy::string_slice, reason = "a slice that does not fit fails its test, as it should")]
#![expect(
    unreachable_pub,
    reason = "no crate imports a test binary: `pub` is for its other modules"
)]

/// Shared by all tests: the service in process or as a process, and its callers.
mod support;

/// The API, by path.
mod api;

/// The storage contract, run against every store.
mod store;

/// Domain rules, compared with recorded tables.
mod domain;

/// Settings.
mod config;

/// The service as a process: start, limits, shutdown, kill.
mod process;

/// Stress tests: attacks on every guarantee, for a chosen time.
mod stress;

/// The commands.
mod cli;

/// The documentation pages in a real browser.
mod browser;

/// Generated files that are committed: documents, tables, examples.
mod generated;

/// Rules for the source tree: layers, files, links and wording.
mod architecture;
