//! What happens to every request around its handler, in order: it is timed and given an id, a
//! preflight is answered, the path is spelled in the one way, the handler runs within a time and
//! may panic for itself alone, its answer finds room if it is large, and gets its headers.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::access::Access;
use super::cors::{Crossing, Origins};
use super::error::ApiError;
use super::large_answers::LargeAnswers;
use super::large_bodies::LargeBodies;
use super::{body, headers, path};

/// How long a handler may take. Every wait inside it has a bound of its own that is shorter; this
/// is for the one that was forgotten.
const HANDLER_TIME: Duration = Duration::from_mins(1);

/// How requests are met, whatever they ask.
#[derive(Debug, Clone)]
pub struct Shell {
    pub origins: Origins,
    pub access_log: bool,
    pub large_bodies: LargeBodies,
}

struct Around {
    shell: Shell,
    large_answers: LargeAnswers,
}

/// Puts the routes into the shell; the room for large answers is that into which they write theirs.
pub fn wrap(routes: Router, shell: Shell, large_answers: LargeAnswers) -> Router {
    let around = Around { shell, large_answers };
    let routes = routes.layer(CatchPanicLayer::custom(after_panic));
    // A layer of the routes' own router would run only after a route was found.
    Router::new().fallback_service(routes).layer(from_fn_with_state(Arc::new(around), pass))
}

async fn pass(State(around): State<Arc<Around>>, request: Request<Body>, next: Next) -> Response {
    let shell = &around.shell;
    let access = Access::begin(&request, shell.access_log);
    let crossing = Crossing::of(request.method(), request.headers());
    let preflight = crossing.as_ref().and_then(Crossing::answer_preflight);
    let mut response = match preflight {
        Some(response) => response,
        None => answer(request, next, &access, &around).await,
    };
    headers::complete(response.headers_mut());
    shell.origins.vary(response.headers_mut());
    if let Some(crossing) = crossing {
        crossing.allow(&shell.origins, response.headers_mut());
    }
    access.end(&mut response);
    response
}

async fn answer(request: Request<Body>, next: Next, access: &Access, around: &Around) -> Response {
    let method = request.method().clone();
    let (request, _share) = body::take_in(request, &around.shell.large_bodies);
    let request = path::normalise(request);
    let span = tracing::error_span!("request", id = access.id().to_str().unwrap_or_default());
    let handled = tracing::Instrument::instrument(next.run(request), span);
    match tokio::time::timeout(HANDLER_TIME, handled).await {
        Ok(response) => around.large_answers.admit(&method, response),
        Err(elapsed) => ApiError::Unavailable(elapsed.into()).into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    ApiError::internal(format!("a handler panicked: {message}")).into_response()
}
