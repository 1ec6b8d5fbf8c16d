//! The tests that need more than one module of the service, in one binary. The folders follow the
//! URLs and the modules.

#![cfg(test)]
#![expect(clippy::string_slice, reason = "a slice that does not fit fails its test, as it should")]
#![expect(
    unreachable_pub,
    reason = "a test binary is never imported: `pub` is for its other modules"
)]

/// The building blocks of tests: the service in this process or in its own, and its callers.
mod support;

/// The API, by path.
mod api;

/// The contract of `store`, checked against each store.
mod store;

/// Domain rules, compared with recorded tables.
mod domain;

/// Settings.
mod config;

/// The service as a process: start, limits, shutdown, kill.
mod process;

/// The guarantees under attack, for a configurable time.
mod stress;

/// The commands.
mod cli;

/// The documentation pages in a real browser.
mod browser;

/// The README and the pages of `docs/`, command by command.
mod guides;

/// Files that are generated and committed: documents, tables, examples.
mod generated;

/// Rules for the source tree: layers, files, links and wording.
mod architecture;
