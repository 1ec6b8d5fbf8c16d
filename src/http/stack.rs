//! What happens to every request around its handler, in order: it is timed and given an id, a
//! preflight is answered, the path is spelled in the one way, the handler runs within a time and
//! may panic for itself alone, its answer finds room if it is large, and gets its headers.

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

use super::access::{RequestIds, RequestLog};
use super::body_memory::BodyMemory;
use super::client::{Client, TrustedProxies};
use super::cors::{AllowedOrigins, CorsRequest};
use super::error::ApiError;
use super::large_responses::LargeResponses;
use super::{body, headers, path};

/// How long a handler may take. Every wait inside it has a bound of its own that is shorter; this
/// is for the one that was forgotten.
const HANDLER_TIME: Duration = Duration::from_mins(1);

/// How requests are met, whatever they ask.
#[derive(Debug, Clone)]
pub struct MiddlewareConfig {
    pub origins: AllowedOrigins,
    pub access_log: bool,
    pub body_memory: BodyMemory,
    pub trusted_proxies: TrustedProxies,
}

/// The routes in their shell. One service for all of it: as a layer each of these steps would cost
/// every request a box and a copy.
#[derive(Clone)]
pub struct AppService {
    routes: Router,
    around: Arc<Shared>,
    /// Who is at the other end, if there is one: a client, or a proxy.
    peer: Option<SocketAddr>,
    /// Whether the connection is within TLS of ours.
    is_secure: bool,
}

struct Shared {
    shell: MiddlewareConfig,
    large_responses: LargeResponses,
    ids: RequestIds,
}

/// Puts the routes into the shell; the room for large answers is that into which they write theirs.
#[must_use]
pub fn with_middleware(
    routes: Router,
    shell: MiddlewareConfig,
    large_responses: LargeResponses,
) -> AppService {
    let around = Shared { shell, large_responses, ids: RequestIds::new() };
    AppService { routes, around: Arc::new(around), peer: None, is_secure: false }
}

impl AppService {
    /// The same for a connection with this other end.
    #[must_use]
    pub fn of_peer(&self, peer: SocketAddr, is_secure: bool) -> Self {
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
        let served = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move { Ok(pass(served, request).await) })
    }
}

async fn pass(served: AppService, mut request: Request<Body>) -> Response {
    let AppService { routes, around, peer, is_secure } = served;
    let shell = &around.shell;
    let client = |peer: SocketAddr| shell.trusted_proxies.client_of(peer.ip(), request.headers());
    let client = Client(peer.map(client));
    request.extensions_mut().insert(client);
    let access = RequestLog::begin(&request, client, shell.access_log, &around.ids);
    let crossing = CorsRequest::of(request.method(), request.headers());
    let preflight = crossing.as_ref().and_then(CorsRequest::answer_preflight);
    let mut response = match preflight {
        Some(response) => response,
        None => answer(request, routes, &access, &around).await,
    };
    headers::complete(response.headers_mut(), is_secure);
    shell.origins.vary(response.headers_mut());
    if let Some(crossing) = crossing {
        crossing.allow(&shell.origins, response.headers_mut());
    }
    access.end(&mut response);
    response
}

async fn answer(
    request: Request<Body>,
    mut routes: Router,
    access: &RequestLog,
    around: &Shared,
) -> Response {
    let method = request.method().clone();
    let (request, _share) = body::track_and_drain(request, &around.shell.body_memory);
    let request = path::normalise(request);
    // A request that fails is logged with its id in any case (`access`).
    let span = tracing::info_span!("request", id = access.id_text());
    let handled = AssertUnwindSafe(async { routes.call(request).await }).catch_unwind();
    let handled = tracing::Instrument::instrument(handled, span);
    match tokio::time::timeout(HANDLER_TIME, handled).await {
        Ok(Ok(Ok(response))) => around.large_responses.admit(&method, response),
        Ok(Err(panic)) => after_panic(panic.as_ref()),
        Err(elapsed) => ApiError::Unavailable(elapsed.into()).into_response(),
    }
}

fn after_panic(panic: &(dyn Any + Send)) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}
