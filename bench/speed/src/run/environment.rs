//! Starts the service on a filled database of either store, and loads it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::Options;
use crate::comparison::{Measurement, Percentiles, Schedule};
use crate::load::{self, Outcome, Pace, Traffic};
use crate::operation::{ApiTraffic, Operation};
use crate::postgres::Cluster;
use crate::process::Server;
use crate::report::LatencyProfile;
use crate::seed::{self, SECRET};

pub struct Environment<'a> {
    pub options: &'a Options,
    pub schedule: Schedule,
    pub cluster: Cluster,
    pub folder: TempDir,
    pub tokens: Rc<Vec<String>>,
    /// The stored hash of every user.
    password_hash: String,
}

impl<'a> Environment<'a> {
    pub fn new(options: &'a Options, schedule: Schedule) -> Result<Self> {
        Ok(Self {
            options,
            schedule,
            cluster: Cluster::new(&options.postgres, &options.postgres_programs),
            folder: TempDir::new()?,
            tokens: seed::tokens()?,
            password_hash: seed::stored_hash()?,
        })
    }

    /// Starts the service on a new PostgreSQL database with this name.
    pub fn start_on_postgres(&self, name: &str) -> Result<Server> {
        let service = &self.options.service;
        self.start(service, &self.create_postgres_database(service, name)?)
    }

    /// Starts the service on a new SQLite file with this name.
    pub fn start_on_sqlite(&self, name: &str) -> Result<Server> {
        let service = &self.options.service;
        self.start(service, &sqlite_url(&self.create_sqlite_database(service, name)?))
    }

    /// Creates and fills a PostgreSQL database with the schema of this build. Returns its URL.
    pub fn create_postgres_database(&self, service: &Path, name: &str) -> Result<String> {
        self.cluster.create_database(name)?;
        let url = self.cluster.url(name);
        self.upgrade(service, &url)?;
        seed::fill_postgres(&self.cluster, name, &self.password_hash)?;
        Ok(url)
    }

    /// Creates and fills a SQLite database with the schema of this build. Returns its file.
    pub fn create_sqlite_database(&self, service: &Path, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{name}.db"));
        self.upgrade(service, &sqlite_url(&path))?;
        seed::fill_sqlite(&path, &self.password_hash)?;
        Ok(path)
    }

    /// Starts the no-op server, see `noop_server.rs`.
    pub fn start_noop_server(database: &Path) -> Result<Server> {
        let program = std::env::current_exe()?;
        let database = database.to_owned();
        Server::start("the no-op server", move |port| {
            let mut command = Command::new(program);
            command.args(["noop-server", "--port", &port.to_string(), "--database"]).arg(database);
            command
        })
    }

    fn command(&self, service: &Path, url: &str) -> Command {
        let mut command = Command::new(service);
        command.current_dir(self.folder.path()).env_clear().env("SECRET_KEY", SECRET);
        command.env("DATABASE_URL", url).env("ACCESS_LOG", "off").env("LOG_LEVEL", "warn");
        command.env("RATE_LIMITS", "off");
        command
    }

    fn upgrade(&self, service: &Path, url: &str) -> Result<()> {
        let output = self
            .command(service, url)
            .args(["db", "upgrade"])
            .output()
            .context("could not run the service")?;
        if !output.status.success() {
            bail!("db upgrade failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Starts a build of the service on a database.
    pub fn start(&self, service: &Path, url: &str) -> Result<Server> {
        let mut command = self.command(service, url);
        Server::start("the service", move |port| {
            command.args(["serve", "--port", &port.to_string()]);
            command
        })
    }

    /// Returns requests of the operation, for a server with the routes of the service.
    pub fn traffic(&self, operation: Operation) -> ApiTraffic {
        ApiTraffic::new(operation, Rc::clone(&self.tokens))
    }

    /// Measures the throughput in a closed loop with all connections.
    pub fn load(
        &self,
        address: SocketAddr,
        traffic: &mut dyn Traffic,
        time: Duration,
    ) -> Result<Measurement> {
        let connections = self.options.connections;
        Measurement::throughput(&load::run(address, connections, Pace::ClosedLoop, time, traffic)?)
    }

    /// Measures latencies at half of the throughput of a closed loop, for the time of two rounds.
    pub fn profile_latency(
        &self,
        name: String,
        address: SocketAddr,
        traffic: &mut dyn Traffic,
        throughput: f64,
    ) -> Result<LatencyProfile> {
        let (rate, time) = (throughput / 2.0, 2 * self.schedule.time);
        let connections = 4 * self.options.connections;
        let outcome = load::run(address, connections, Pace::OpenLoop(rate), time, traffic)?;
        Measurement::throughput(&outcome)?;
        Ok(LatencyProfile {
            name,
            requests_per_second: rate,
            percentiles: Percentiles::new(&outcome),
            curve: curve(&outcome),
        })
    }
}

pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn curve(outcome: &Outcome) -> Vec<(f64, u64)> {
    const SHARES: [f64; 9] = [0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999];
    SHARES.iter().map(|share| (*share, outcome.quantile(*share))).collect()
}
