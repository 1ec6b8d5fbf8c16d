//! The HTTP server: the listener and its limits, TLS, and the middleware around every handler. It
//! treats the routes as an opaque [`Router`](axum::Router).
//!
//! Not here: routes, errors and request fields, see `api`.

mod acceptor;
mod access_log;
mod body_memory;
mod cors;
mod forwarded;
mod idle_timeout;
mod listener;
mod middleware;
mod normalize_path;
mod request_body;
mod response_body;
mod security_headers;
mod tls;
mod tls_reload;
mod trusted_proxies;
mod untrusted_proxy;

pub use body_memory::BodyMemory;
pub use cors::AllowedOrigins;
pub use listener::{Limits, listen, serve, server_threads};
pub use middleware::{AppService, MiddlewareConfig, with_middleware};
pub use tls::{Tls, UnusableTls};
pub use tls_reload::watch_tls_files;
pub use trusted_proxies::{InvalidProxy, TrustedProxies};
