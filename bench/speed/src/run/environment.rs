//! Where the measurements take place: the service on one of its stores, filled.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::Options;
use crate::comparison::Times;
use crate::comparison::{Effort, Reading};
use crate::load::{self, Outcome, Pace, Traffic};
use crate::operation::{ApiTraffic, Operation};
use crate::postgres::Cluster;
use crate::process::Server;
use crate::report::Latency;
use crate::seed::{self, SECRET};

pub struct Place<'a> {
    pub options: &'a Options,
    pub effort: Effort,
    pub cluster: Cluster,
    pub folder: TempDir,
    pub tokens: Rc<Vec<String>>,
    hash: String,
}

impl<'a> Place<'a> {
    pub fn new(options: &'a Options, effort: Effort) -> Result<Self> {
        Ok(Self {
            options,
            effort,
            cluster: Cluster::new(&options.postgres, &options.postgres_programs),
            folder: TempDir::new()?,
            tokens: seed::tokens()?,
            hash: seed::stored_hash()?,
        })
    }

    /// The service on a fresh database of PostgreSQL with this name.
    pub fn on_postgres(&self, name: &str) -> Result<Server> {
        self.serve(&self.options.service, &self.fresh_postgres(name)?)
    }

    /// The service on a fresh file with this name.
    pub fn on_sqlite(&self, name: &str) -> Result<Server> {
        self.serve(&self.options.service, &sqlite_url(&self.fresh_sqlite(name)?))
    }

    /// The address of a filled database that nobody serves.
    pub fn fresh_postgres(&self, name: &str) -> Result<String> {
        self.cluster.create_database(name)?;
        let url = self.cluster.url(name);
        self.upgrade(&url)?;
        seed::fill_postgres(&self.cluster, name, &self.hash)?;
        Ok(url)
    }

    /// The file of one.
    pub fn fresh_sqlite(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{name}.db"));
        self.upgrade(&sqlite_url(&path))?;
        seed::fill_sqlite(&path, &self.hash)?;
        Ok(path)
    }

    /// Of what could be served at most.
    pub fn constant(database: &Path) -> Result<Server> {
        let program = std::env::current_exe()?;
        let database = database.to_owned();
        Server::start("the constant server", move |port| {
            let mut command = Command::new(program);
            command.args(["constant", "--port", &port.to_string(), "--database"]).arg(database);
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

    fn upgrade(&self, url: &str) -> Result<()> {
        let output = self
            .command(&self.options.service, url)
            .args(["db", "upgrade"])
            .output()
            .context("the service")?;
        if !output.status.success() {
            bail!("db upgrade: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// A build of the service on a database.
    pub fn serve(&self, service: &Path, url: &str) -> Result<Server> {
        let mut command = self.command(service, url);
        Server::start("the service", move |port| {
            command.args(["serve", "--port", &port.to_string()]);
            command
        })
    }

    /// The operation on a server with our routes.
    pub fn traffic(&self, operation: Operation) -> ApiTraffic {
        ApiTraffic::new(operation, Rc::clone(&self.tokens))
    }

    /// In a closed loop, with all connections.
    pub fn load(
        &self,
        address: SocketAddr,
        traffic: &mut dyn Traffic,
        time: Duration,
    ) -> Result<Reading> {
        let connections = self.options.connections;
        Reading::throughput(&load::run(address, connections, Pace::Closed, time, traffic)?)
    }

    /// Times at half of what a closed loop has reached, over two rounds' time.
    pub fn latency(
        &self,
        work: String,
        address: SocketAddr,
        traffic: &mut dyn Traffic,
        reached: f64,
    ) -> Result<Latency> {
        let (rate, time) = (reached / 2.0, 2 * self.effort.time);
        let connections = 4 * self.options.connections;
        let outcome = load::run(address, connections, Pace::Open(rate), time, traffic)?;
        Reading::throughput(&outcome)?;
        Ok(Latency { work, per_second: rate, times: Times::of(&outcome), curve: curve(&outcome) })
    }
}

pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn curve(outcome: &Outcome) -> Vec<(f64, u64)> {
    const SHARES: [f64; 9] = [0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999];
    SHARES.iter().map(|share| (*share, outcome.quantile(*share))).collect()
}
