//! Routes behind the real listener, in this process, with limits that the test chooses.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use post_api::client_limits::{ClientLimits, ConnectionTimeouts};
use post_api::metrics::Traffic;
use post_api::rate_limits::LIMIT_NAMES;
use post_api::server::{
    AllowedOrigins, AppService, Limits, MiddlewareConfig, Tls, TrustedProxies, serve,
};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::{DocumentChecker, Wire};

/// Returns the middleware configuration for routes that a test defines.
pub fn middleware_config() -> MiddlewareConfig {
    MiddlewareConfig {
        origins: AllowedOrigins::Any,
        access_log: false,
        client_limits: ClientLimits::default(),
        trusted_proxies: TrustedProxies::default(),
        metrics: None,
        traffic: Arc::new(Traffic::new(LIMIT_NAMES)),
    }
}

/// Returns the default limits with other timeouts.
pub fn limits(change: impl FnOnce(&mut ConnectionTimeouts)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits.timeouts);
    limits
}

/// Returns the default memory, and connections of which each client network may use this many.
pub fn connections_of_a_network(connections: usize) -> ClientLimits {
    ClientLimits::new(512 * 1024 * 1024, 8 * connections)
}

/// A listener on its own thread, shut down when dropped.
pub struct TestServer {
    pub address: SocketAddr,
    /// `None` if the routes are not those of the API.
    checker: Option<Arc<DocumentChecker>>,
    end: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl TestServer {
    /// Starts on a free port and with its own runtime, so that a test may block on a response.
    pub fn start(routes: AppService, limits: Limits) -> Self {
        Self::start_within(None, routes, limits)
    }

    /// Like [`Self::start`], with TLS.
    pub fn start_within(tls: Option<Arc<Tls>>, routes: AppService, limits: Limits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let (found, checker) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let _ = found.send(runtime.block_on(checker_of(routes.clone())));
            runtime.block_on(serve(listener, routes, limits, tls, async {
                let _ = ended.await;
            }))
        });
        Self { address, checker: checker.recv().unwrap(), end, thread }
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.address).checked_by(self.checker.clone())
    }

    /// Shuts the server down and waits for its end.
    pub fn end(self) {
        drop(self.end);
        self.thread.join().unwrap().unwrap();
    }
}

/// Returns the checker for the document that the routes serve.
async fn checker_of(routes: AppService) -> Option<Arc<DocumentChecker>> {
    let request = Request::get("/openapi.json").header("host", "localhost");
    let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let is_served = response.status() == 200;
    let document = response.into_body().collect().await.ok().filter(|_| is_served)?.to_bytes();
    // Routes that a test defines may answer every path.
    let document = std::str::from_utf8(&document).ok().filter(|text| text.contains("openapi"))?;
    Some(DocumentChecker::of(document))
}
