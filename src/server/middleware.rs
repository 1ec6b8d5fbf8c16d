//! The steps around every handler, in order:
//!
//! 1. find the client IP and start the request log;
//! 2. reject an invalid head, and respond to a preflight;
//! 3. count the request against the limits of the client, or refuse it;
//! 4. normalize the path;
//! 5. run the handler with a timeout and catch its panic;
//! 6. replace a response that the client has by 304;
//! 7. count the response until it is sent;
//! 8. add the headers and log the request.
//!
//! All steps are in one service. With one layer per step, each layer adds an allocation and a copy
//! to every request. Together they cost 8 % of the throughput of reads (docs/benchmarks.md).

use std::any::Any;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tower::{BoxError, Service};

use super::access_log::{RequestIds, RequestLog};
use super::cors::{AllowedOrigins, CorsRequest};
use super::request_metrics::RequestMetrics;
use super::trusted_proxies::TrustedProxies;
use super::untrusted_proxy::UntrustedProxy;
use super::{
    access_log, normalize_path, request_body, request_head, revalidation, security_headers, vary,
};
use crate::api::{ApiError, ClientIp, StaticBody};
use crate::client_limits::{ClientLimits, Connection, LimitReached, RequestPermit};
use crate::metrics::Traffic;

/// Memory in bytes of a parsed header field, without its name and value.
const FIELD_BYTES: usize = 256;

/// Maximum number of header fields of a request, for every version of HTTP.
pub(super) const MAX_HEADER_FIELDS: usize = 100;

/// Maximum time from the head of a request to the end of its handler. Every wait inside a handler
/// has its own shorter timeout. This one limits a wait whose timeout is missing by mistake.
const HANDLER_TIMEOUT: Duration = Duration::from_mins(1);

/// The settings of the middleware, the same for every route.
#[derive(Debug, Clone)]
pub struct MiddlewareConfig {
    pub origins: AllowedOrigins,
    pub access_log: bool,
    pub client_limits: ClientLimits,
    pub trusted_proxies: TrustedProxies,
    /// `None` if nothing asks for them.
    pub metrics: Option<Arc<RequestMetrics>>,
    pub traffic: Arc<Traffic>,
}

/// The routes inside the middleware, for one connection.
#[derive(Clone)]
pub struct AppService(Arc<ForConnection>);

#[derive(Clone)]
struct ForConnection {
    routes: Router,
    shared: Arc<Shared>,
    connection: Option<Arc<Connection>>,
    /// The peer of the connection: a client or a proxy. `None` if there is no connection.
    peer: Option<SocketAddr>,
    /// Whether this service terminates TLS for the connection.
    is_secure: bool,
}

struct Shared {
    config: MiddlewareConfig,
    request_ids: RequestIds,
    untrusted_proxy: UntrustedProxy,
}

/// Wraps the routes in the middleware.
#[must_use]
pub fn with_middleware(routes: Router, config: MiddlewareConfig) -> AppService {
    let shared = Shared {
        config,
        request_ids: RequestIds::new(),
        untrusted_proxy: UntrustedProxy::default(),
    };
    let shared = Arc::new(shared);
    AppService::new(ForConnection {
        routes,
        shared,
        connection: None,
        peer: None,
        is_secure: false,
    })
}

impl AppService {
    fn new(service: ForConnection) -> Self {
        Self(Arc::new(service))
    }

    /// Returns the same service for requests from this peer.
    #[must_use]
    pub fn for_peer(&self, peer: SocketAddr, is_secure: bool) -> Self {
        Self::new(ForConnection { peer: Some(peer), is_secure, ..ForConnection::clone(&self.0) })
    }

    /// Returns the same service for a connection with this peer.
    pub(super) fn for_connection(
        &self,
        connection: Arc<Connection>,
        peer: SocketAddr,
        is_secure: bool,
    ) -> Self {
        let (connection, peer) = (Some(connection), Some(peer));
        Self::new(ForConnection { connection, peer, is_secure, ..ForConnection::clone(&self.0) })
    }

    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response, Infallible>> {
        let service = Arc::clone(&self.0);
        Box::pin(async move { Ok(handle(&service, request).await) })
    }

    pub(super) fn config(&self) -> &MiddlewareConfig {
        &self.0.shared.config
    }

    /// Logs a response that the HTTP library gave without asking the service.
    pub(super) fn log_library_response(&self, peer: IpAddr, status: StatusCode) {
        if self.0.shared.config.access_log {
            access_log::log_unreadable(peer, status);
        }
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
        self.respond(request.map(Body::new))
    }
}

/// Called by hyper. It takes the service by reference, without the copies of a tower service.
impl hyper::service::Service<Request<Incoming>> for AppService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.respond(request.map(Body::new))
    }
}

async fn handle(service: &ForConnection, mut request: Request<Body>) -> Response {
    let ForConnection { routes, shared, connection, peer, is_secure } = service;
    let config = &shared.config;
    let client_ip = |peer: SocketAddr| {
        let (proxies, headers) = (&config.trusted_proxies, request.headers());
        shared.untrusted_proxy.observe(proxies, peer.ip(), headers);
        proxies.client_ip(peer.ip(), headers)
    };
    let client = ClientIp((*peer).map(client_ip));
    request.extensions_mut().insert(client);
    let metrics = config.metrics.as_deref();
    let (has_line, ids) = (config.access_log, &shared.request_ids);
    let mut log = RequestLog::begin(&request, client, has_line, ids, metrics, &config.traffic);
    let cors = CorsRequest::of(request.method(), request.headers());
    let method = request.method().clone();
    let head = request_head::check(&request);
    let preflight = cors.as_ref().and_then(CorsRequest::answer_preflight);
    let version = request.version();
    let mut response = match (&head, preflight) {
        (Ok(()), Some(response)) => response,
        _ => match admit(config, connection.as_ref(), &log, client, &request) {
            Ok(permit) => match head {
                Ok(()) => run_handler(request, permit, routes.clone(), &mut log).await,
                Err(error) => reject_head(request, permit, error).await,
            },
            Err(error) => refuse(error, version),
        },
    };
    security_headers::complete(response.headers_mut(), *is_secure);
    vary::add(&method, response.headers_mut());
    if let Some(cors) = cors {
        cors.allow(&config.origins, response.headers_mut());
    }
    let is_last = connection.as_ref().is_some_and(|open| open.ends_after_response());
    if is_last && version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    log.end(&mut response);
    response
}

/// Counts the request. Without a connection, as in tests, the network is that of the client.
fn admit(
    config: &MiddlewareConfig,
    connection: Option<&Arc<Connection>>,
    log: &RequestLog<'_>,
    ClientIp(client): ClientIp,
    request: &Request<Body>,
) -> Result<RequestPermit, ApiError> {
    if request.headers().len() > MAX_HEADER_FIELDS {
        return Err(ApiError::TooManyHeaderFields);
    }
    let has_network = connection.is_some_and(|connection| connection.has_network());
    let forwarded = client.filter(|client| !has_network && !config.trusted_proxies.trusts(*client));
    let fields = request.headers().iter();
    let head: usize =
        fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
    let head = head + request.uri().path().len() + request.uri().query().map_or(0, str::len);
    let window = request_body::unread_bytes(request.body());
    let connection = connection.map(|open| (open, request.version() == Version::HTTP_2));
    let permit = config.client_limits.begin(connection, log.started(), forwarded, [head, window]);
    permit.map_err(|_| ApiError::Overloaded)
}

/// Returns the response to a request that is not counted. Over HTTP/2 a client could leave a body
/// unread, so the response has none.
fn refuse(error: ApiError, version: Version) -> Response {
    let response = error.into_response();
    if version == Version::HTTP_2 { response.map(|_| Body::empty()) } else { response }
}

async fn run_handler(
    request: Request<Body>,
    permit: RequestPermit,
    mut routes: Router,
    log: &mut RequestLog<'_>,
) -> Response {
    let method = request.method().clone();
    let known = revalidation::known_tags(&method, request.headers());
    let mut request = request_body::track_and_drain(normalize_path::normalize(request), &permit);
    log.find_operation(&request);
    request.extensions_mut().insert(permit.clone());
    // The span adds the request ID to log events of the handler. `access_log` logs the ID without it.
    let (id, trace_id, span_id) = (log.id_text(), log.trace_id(), log.span_id());
    let span = tracing::info_span!("request", id, trace_id, span_id);
    let handled = async {
        let Ok(_turn) = permit.turn().await else {
            return ApiError::Overloaded.into_response();
        };
        routes.call(request).await.into_response()
    };
    let handled = tracing::Instrument::instrument(AssertUnwindSafe(handled).catch_unwind(), span);
    let deadline = log.started() + HANDLER_TIMEOUT;
    let response = match tokio::time::timeout_at(deadline, handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => panic_response(panic.as_ref()),
        Err(elapsed) => ApiError::Unavailable(elapsed.into()).into_response(),
    };
    let response = revalidation::revalidate(known.as_ref(), response);
    count_response(permit, &method, response).await
}

/// Bytes of a response, which count until the connection has sent or dropped the last of them.
struct CountedBytes {
    bytes: Bytes,
    _permit: RequestPermit,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Drains the body, so that the response reaches the client.
async fn reject_head(request: Request<Body>, permit: RequestPermit, error: ApiError) -> Response {
    let (method, version) = (request.method().clone(), request.version());
    drop(request_body::track_and_drain(request, &permit));
    count_response(permit, &method, request_head::reject(error, version)).await
}

/// The memory for the response to a committed write is not available.
#[derive(Debug, thiserror::Error)]
#[error("the response is cut off: {0}")]
struct CutOff(LimitReached);

/// Counts the response until it is sent. If a limit is reached, returns 503 instead, or for a write
/// that has succeeded a response that is cut off: 503 would be wrong.
async fn count_response(permit: RequestPermit, method: &Method, response: Response) -> Response {
    let length = response.body().size_hint().lower();
    if length == 0 {
        return response;
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    // All clients share the bytes of a static body.
    let own = if response.extensions().get::<StaticBody>().is_some() { 0 } else { length };
    match permit.set_response(own) {
        // A small response is sent at once, so it needs no time limit.
        Ok(false) if own > 0 => response,
        Ok(_) => attach_permit(permit, response).await,
        Err(_) if method.is_safe() || !response.status().is_success() => {
            attach_permit(permit, ApiError::Overloaded.into_response()).await
        }
        Err(reached) => {
            let cut_off =
                futures_util::stream::once(std::future::ready(Err::<Bytes, _>(CutOff(reached))));
            response.map(|_| Body::from_stream(cut_off))
        }
    }
}

/// Lets the bytes of the response hold the permit. The body is ready: its length is known, and a
/// handler that streams passes the permit to its stream.
async fn attach_permit(permit: RequestPermit, response: Response) -> Response {
    let (parts, mut body) = response.into_parts();
    let bytes = match body.frame().await {
        Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    };
    let counted = Bytes::from_owner(CountedBytes { bytes, _permit: permit });
    Response::from_parts(parts, Body::from(counted))
}

fn panic_response(panic: &(dyn Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}
