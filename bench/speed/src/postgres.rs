//! The cluster that `scripts/bench` has started, and its own benchmark.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::comparison::Reading;

/// Clients that are tried to find out with how many pgbench is at its best.
const CLIENTS: [usize; 5] = [4, 8, 16, 32, 64];

pub struct Cluster {
    /// `postgresql://…/`, to which a database's name can be added.
    url: String,
    programs: PathBuf,
}

/// A script of pgbench's for one database.
pub struct Script<'a> {
    cluster: &'a Cluster,
    database: &'a str,
    file: tempfile::NamedTempFile,
    clients: usize,
}

impl Cluster {
    pub fn new(url: &str, programs: &Path) -> Self {
        Self { url: url.to_owned(), programs: programs.to_owned() }
    }

    pub fn url(&self, database: &str) -> String {
        format!("{}{database}", self.url)
    }

    pub fn create_database(&self, name: &str) -> Result<()> {
        self.execute("postgres", &format!("CREATE DATABASE {name}"))
    }

    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database), "-c", sql]);
        run(&mut psql).map(|_| ())
    }

    /// A script with the clients that suit it best, or with these.
    pub fn script<'a>(
        &'a self,
        database: &'a str,
        text: &str,
        clients: Option<usize>,
        trial: Duration,
    ) -> Result<Script<'a>> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut script = Script { cluster: self, database, file, clients: 1 };
        if let Some(clients) = clients {
            script.clients = clients;
            return Ok(script);
        }
        let mut best = (0.0, 1);
        for clients in CLIENTS {
            script.clients = clients;
            let figure = script.run(trial)?.figure;
            if figure > best.0 {
                best = (figure, clients);
            }
        }
        script.clients = best.1;
        Ok(script)
    }
}

impl Script<'_> {
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Transactions a second, prepared, with two threads of pgbench's.
    pub fn run(&self, time: Duration) -> Result<Reading> {
        // It counts in seconds.
        let seconds = time.as_secs().max(1).to_string();
        let mut pgbench = Command::new(self.cluster.programs.join("pgbench"));
        pgbench.args(["-n", "-M", "prepared", "-T", &seconds]);
        pgbench.args(["-j", &self.clients.min(2).to_string(), "-c", &self.clients.to_string()]);
        pgbench.arg("-f").arg(self.file.path()).arg(self.cluster.url(self.database));
        let told = run(&mut pgbench)?;
        // Older ones do not say it: their transactions end the run.
        if told.contains("failed transactions: ") && !told.contains("failed transactions: 0 ") {
            bail!("pgbench: {told}");
        }
        Ok(Reading::of(number(&told, "tps = ")?))
    }
}

fn number(told: &str, before: &str) -> Result<f64> {
    let rest = told.split(before).nth(1).with_context(|| format!("pgbench: {told}"))?;
    let text = rest.split_whitespace().next().unwrap_or_default();
    text.parse().with_context(|| format!("pgbench: {told}"))
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(told)
}
