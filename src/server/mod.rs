//! The HTTP server: the listener and its limits, TLS, and the middleware around every handler. It
//! treats the routes as an opaque [`Router`](axum::Router).
//!
//! Not here: routes, errors and request fields, see `api`.

mod access_log;
mod certificate;
mod connection;
mod cors;
mod forwarded;
mod listener;
mod metrics_listener;
mod middleware;
mod normalize_path;
mod notify_socket;
mod open_files;
mod passed_socket;
mod request_body;
mod request_head;
mod request_metrics;
mod revalidation;
mod security_headers;
mod tls;
mod tls_reload;
mod trace_context;
mod trusted_proxies;
mod untrusted_proxy;
mod vary;

pub use certificate::{Certificate, read_certificate};
pub use cors::AllowedOrigins;
pub use listener::{Limits, listen, serve, server_threads};
pub use metrics_listener::MetricsListener;
pub use middleware::{AppService, MiddlewareConfig, with_middleware};
pub use notify_socket::NotifySocket;
pub use open_files::{allowed_connections, raise_open_files};
pub use passed_socket::{UnusableSocket, passed_socket};
pub use request_metrics::RequestMetrics;
pub use tls::{Tls, UnusableTls};
pub use tls_reload::watch_tls_files;
pub use trusted_proxies::{InvalidProxy, TrustedProxies};
