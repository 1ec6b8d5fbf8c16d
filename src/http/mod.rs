//! How we speak HTTP, whatever is being spoken about: the listener and its limits, what a request
//! must look like, and how refusals read. Which routes there are is `api`'s.

mod access;
mod admission;
mod background;
mod body;
mod body_memory;
mod client;
mod coerce;
mod cors;
mod error;
mod extract;
mod form;
mod forwarded;
mod headers;
mod json;
mod large_responses;
mod pages;
mod path;
mod probe;
mod serve;
mod stack;
mod stalled;
mod tls;
mod validate;
mod value;

use std::sync::Arc;

use crate::auth::{InterruptedRefreshes, Passwords, Tokens};
use crate::clock::Clock;
use crate::domain::policy::Policy;
use crate::rate_limits::RateLimits;
use crate::store::Store;

pub use background::Background;
pub use body_memory::BodyMemory;
pub use client::{Client, InvalidProxy, TrustedProxies};
pub use coerce::{FieldError, JsonInteger, boolean, integer, integer_from_text, stored_text, text};
pub use cors::AllowedOrigins;
pub use error::{ApiError, method_not_allowed, route_not_found};
pub use extract::{OptionalCaller, Valid, Writer};
pub use json::Json;
pub use large_responses::LargeResponses;
pub use pages::{Pages, serve_asset, serve_document, serve_redirect, serve_redoc, serve_swagger};
pub use probe::ask_ready;
pub use serve::{Limits, listen, serve, server_threads};
pub use stack::{AppService, MiddlewareConfig, with_middleware};
pub use tls::{Tls, UnusableTls};
pub use validate::{BodyKind, FromRequestFields, RequestFields};

/// What every handler works with.
pub struct AppState {
    pub store: Arc<dyn Store>,
    pub passwords: Passwords,
    pub tokens: Tokens,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
    pub rate_limits: RateLimits,
    pub background: Background,
    pub interrupted_refreshes: InterruptedRefreshes,
    pub pages: Pages,
    pub large_responses: LargeResponses,
    /// Below which a proxy shows the service; empty, or begins with a slash.
    pub root_path: String,
}
