//! Every test that needs more than one room of the service, in one binary: laid out like the
//! URLs, then like the rooms.

// Tells the lints that everything here is a test.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "a slice that does not fit fails its test, as it should")]
#![expect(
    unreachable_pub,
    reason = "nobody imports a test binary: `pub` is for other modules of it"
)]

/// What tests are made with: a service in process or in a process of its own, and its callers.
mod support;

/// The API, by path.
mod api;

/// The contract of `store`, held against every store by name.
mod store;

/// Rules of the domain that are recorded in tables.
mod domain;

/// Settings.
mod config;

/// The service as a process: start, limits, drain, kill.
mod process;

/// The promises, attacked for as long as one likes.
mod proof;

/// The command line.
mod cli;

/// The documentation pages in a real browser.
mod browser;

/// What is generated and committed: documents, tables, examples.
mod generated;

/// Rules for the source tree: layers, files, links and wording.
mod architecture;
