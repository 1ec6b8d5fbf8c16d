//! Routes behind the real listener, in this process, with limits of the test's own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use post_api::server::{
    AllowedOrigins, AppService, BodyMemory, Limits, MiddlewareConfig, Tls, TrustedProxies, serve,
};
use tokio::sync::oneshot;

use super::Wire;

/// For routes of a test's own.
pub fn middleware_config() -> MiddlewareConfig {
    MiddlewareConfig {
        origins: AllowedOrigins::Any,
        access_log: false,
        body_memory: BodyMemory::default(),
        trusted_proxies: TrustedProxies::default(),
    }
}

/// Told to end when it goes out of sight.
pub struct TestServer {
    pub address: SocketAddr,
    end: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl TestServer {
    /// On a free port, with a runtime of its own: a test may wait for it without letting go.
    pub fn start(routes: AppService, limits: Limits) -> Self {
        Self::start_within(None, routes, limits)
    }

    /// The same within TLS.
    pub fn start_within(tls: Option<Arc<Tls>>, routes: AppService, limits: Limits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listener, routes, limits, tls, async {
                let _ = ended.await;
            }))
        });
        Self { address, end, thread }
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// Tells it to end and waits until it has.
    pub fn end(self) {
        drop(self.end);
        self.thread.join().unwrap().unwrap();
    }
}
