//! Users, posts and votes behind a secure REST API.
//!
//! The rooms, in reading order:

/// What the service is about: users, posts, votes and their rules. Pure values.
pub mod domain;

/// The one source of time.
pub mod clock;

/// Errors as the log has them.
pub mod error_chain;

/// Who is asking: passwords and tokens.
pub mod auth;

/// The only room that knows a database.
pub mod store;

/// How often somebody may do what costs others something.
pub mod rate_limits;

/// How we speak HTTP, whatever is being spoken about.
pub mod http;

/// What we offer: the routes and their handlers.
pub mod api;

/// Every setting: its name, default, check and documentation.
pub mod config;

/// Logs.
pub mod telemetry;

/// The commands of the binary.
pub mod cli;
