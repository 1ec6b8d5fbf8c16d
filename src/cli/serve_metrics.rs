//! Opens the listener of the metrics, and connects it with everything that has metrics.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;

use super::exit::Exit;
use crate::api::{AppState, OPERATIONS};
use crate::client_limits::ClientLimits;
use crate::config::{Database, SettingError, Settings};
use crate::metrics::{Collect, Registry, Scrape, name};
use crate::server::{self, MetricsListener, RequestMetrics};

/// The listener before it serves, and the sources so far.
pub(super) struct MetricsSetup {
    listener: TcpListener,
    address: SocketAddr,
    registry: Registry,
}

impl MetricsSetup {
    /// Listens on `METRICS_ADDRESS`. Returns `None` if it is not set.
    pub(super) async fn listen(settings: &Settings) -> Result<Option<Self>, Exit> {
        let Some(address) = settings.metrics_address else { return Ok(None) };
        let listener = server::listen(&address.ip().to_string(), address.port())
            .await
            .map_err(|error| vec![cannot_listen(address, &error)])?;
        let address = listener.local_addr().context("could not read the address of the metrics")?;
        Ok(Some(Self { listener, address, registry: Registry::default() }))
    }

    /// Adds all sources, and returns the metrics of requests.
    pub(super) fn add_sources(
        &mut self,
        settings: &Settings,
        app: &AppState,
        client_limits: &ClientLimits,
    ) -> Arc<RequestMetrics> {
        let requests = Arc::new(RequestMetrics::new(&OPERATIONS, &settings.root_path));
        let store = match settings.database {
            Database::Sqlite(_) => "sqlite",
            Database::Postgres(_) => "postgres",
        };
        self.registry.add(requests.clone());
        self.registry.add(Arc::new(client_limits.clone()));
        self.registry.add(app.metrics.clone());
        self.registry.add(Arc::new(app.changes.clone()));
        self.registry.add(app.passwords.metrics());
        self.registry.add(app.store.clone());
        self.registry.add(Arc::new(Build { store }));
        #[cfg(target_os = "linux")]
        self.registry.add(Arc::new(crate::metrics::ProcessMetrics::new(app.clock.now())));
        requests
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    pub(super) fn start(self) -> Result<MetricsListener, Exit> {
        let started = MetricsListener::start(self.listener, self.registry);
        Ok(started.context("could not start the listener of the metrics")?)
    }
}

struct Build {
    store: &'static str,
}

impl Collect for Build {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        scrape.gauges(&name::BUILD_INFO, [([env!("CARGO_PKG_VERSION"), self.store], 1)])
    }
}

pub(super) fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> SettingError {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "stop the other program that uses the port, or give another port",
        ErrorKind::PermissionDenied => "give a port from 1024, or the right CAP_NET_BIND_SERVICE",
        _ => "give an IP address of this machine, such as 127.0.0.1, and a port",
    };
    let problem = format!("{address} cannot be used: cannot listen on it: {error}");
    SettingError::new("METRICS_ADDRESS", problem, hint)
}
