//! Users, posts and votes behind a secure REST API.
//!
//! The layers, lowest first. A layer imports only layers that are listed before it. The architecture
//! test holds the exact list.

/// Users, posts, votes and their rules, as pure values.
pub mod domain;

/// The only source of wall-clock time.
pub mod clock;

/// Error texts with all causes, for the log.
pub mod error_chain;

/// Worker threads with a bounded queue.
pub mod worker_pool;

/// Files that hold secrets or data: who can access them.
pub mod file_access;

/// Counters, gauges and histograms, and their text formats.
pub mod metrics;

/// The limits of connections, memory and requests in progress that clients use.
pub mod client_limits;

/// Certificate verifiers for the health check and the PostgreSQL client.
pub mod tls_verifier;

/// Passwords, tokens and keys.
pub mod auth;

/// The storage interface, and its implementations for SQLite and PostgreSQL.
pub mod store;

/// Rate limits of logins, sign-ups and writes.
pub mod rate_limits;

/// The secrets that the service generates for itself.
pub mod key_store;

/// Mails, and the queue that sends them.
pub mod mail;

/// The routes, their handlers, and their errors.
pub mod api;

/// The listener, TLS and the middleware around the routes.
pub mod server;

/// Every setting: its name, default, validation and documentation.
pub mod config;

/// The format and the destination of the log.
pub mod telemetry;

/// The commands of the binary.
pub mod cli;
