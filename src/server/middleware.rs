//! The steps around every handler, in order:
//!
//! 1. find the client IP and start the request log;
//! 2. respond to a preflight;
//! 3. normalize the path;
//! 4. run the handler with a timeout and catch its panic;
//! 5. reserve memory for a large response;
//! 6. add the headers and log the request.
//!
//! All steps are in one service. With one layer per step, each layer adds an allocation and a copy
//! to every request. Together they cost 8 % of the throughput of reads (docs/benchmarks.md).

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tower::{BoxError, Service};

use super::access_log::{RequestIds, RequestLog};
use super::body_memory::BodyMemory;
use super::cors::{AllowedOrigins, CorsRequest};
use super::trusted_proxies::TrustedProxies;
use super::untrusted_proxy::UntrustedProxy;
use super::{normalize_path, request_body, response_body, security_headers};
use crate::api::{ApiError, ClientIp, LargeResponses};

/// Maximum time of a handler. Every wait inside a handler has its own shorter timeout. This one
/// limits a wait whose timeout is missing by mistake.
const HANDLER_TIMEOUT: Duration = Duration::from_mins(1);

/// The settings of the middleware, the same for every route.
#[derive(Debug, Clone)]
pub struct MiddlewareConfig {
    pub origins: AllowedOrigins,
    pub access_log: bool,
    pub body_memory: BodyMemory,
    pub trusted_proxies: TrustedProxies,
}

/// The routes inside the middleware, for one connection.
#[derive(Clone)]
pub struct AppService {
    routes: Router,
    shared: Arc<Shared>,
    /// The peer of the connection: a client or a proxy. `None` if there is no connection.
    peer: Option<SocketAddr>,
    /// Whether this service terminates TLS for the connection.
    is_secure: bool,
}

struct Shared {
    config: MiddlewareConfig,
    large_responses: LargeResponses,
    request_ids: RequestIds,
    untrusted_proxy: UntrustedProxy,
}

/// Wraps the routes in the middleware. `large_responses` must be the budget that the handlers use
/// too.
#[must_use]
pub fn with_middleware(
    routes: Router,
    config: MiddlewareConfig,
    large_responses: LargeResponses,
) -> AppService {
    let shared = Shared {
        config,
        large_responses,
        request_ids: RequestIds::new(),
        untrusted_proxy: UntrustedProxy::default(),
    };
    AppService { routes, shared: Arc::new(shared), peer: None, is_secure: false }
}

impl AppService {
    /// Returns the same service for a connection with this peer.
    #[must_use]
    pub fn for_peer(&self, peer: SocketAddr, is_secure: bool) -> Self {
        Self { peer: Some(peer), is_secure, ..self.clone() }
    }
}

impl<B> Service<Request<B>> for AppService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move { Ok(handle(service, request).await) })
    }
}

async fn handle(service: AppService, mut request: Request<Body>) -> Response {
    let AppService { routes, shared, peer, is_secure } = service;
    let config = &shared.config;
    let client_ip = |peer: SocketAddr| {
        let (proxies, headers) = (&config.trusted_proxies, request.headers());
        shared.untrusted_proxy.observe(proxies, peer.ip(), headers);
        proxies.client_ip(peer.ip(), headers)
    };
    let client = ClientIp(peer.map(client_ip));
    request.extensions_mut().insert(client);
    let log = RequestLog::begin(&request, client, config.access_log, &shared.request_ids);
    let cors = CorsRequest::of(request.method(), request.headers());
    let preflight = cors.as_ref().and_then(CorsRequest::answer_preflight);
    let mut response = match preflight {
        Some(response) => response,
        None => run_handler(request, routes, &log, &shared).await,
    };
    security_headers::complete(response.headers_mut(), is_secure);
    config.origins.vary(response.headers_mut());
    if let Some(cors) = cors {
        cors.allow(&config.origins, response.headers_mut());
    }
    log.end(&mut response);
    response
}

async fn run_handler(
    request: Request<Body>,
    mut routes: Router,
    log: &RequestLog,
    shared: &Shared,
) -> Response {
    let method = request.method().clone();
    let (request, _permit) = request_body::track_and_drain(request, &shared.config.body_memory);
    let request = normalize_path::normalize(request);
    // The span adds the request ID to log events of the handler. `access_log` logs the ID without it.
    let span = tracing::info_span!("request", id = log.id_text());
    let handled = AssertUnwindSafe(async { routes.call(request).await }).catch_unwind();
    let handled = tracing::Instrument::instrument(handled, span);
    match tokio::time::timeout(HANDLER_TIMEOUT, handled).await {
        Ok(Ok(Ok(response))) => response_body::admit(&shared.large_responses, &method, response),
        Ok(Err(panic)) => panic_response(panic.as_ref()),
        Err(elapsed) => ApiError::Unavailable(elapsed.into()).into_response(),
    }
}

fn panic_response(panic: &(dyn Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}
