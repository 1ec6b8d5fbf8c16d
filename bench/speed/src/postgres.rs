//! The PostgreSQL cluster that `scripts/bench` starts, and pgbench on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::comparison::Measurement;
use crate::process::ProcessTimes;

/// The numbers of clients among which the fastest for a script is chosen.
const CLIENT_COUNTS: [usize; 5] = [4, 8, 16, 32, 64];

pub struct Cluster {
    /// `postgresql://…/`, to which a database name is appended.
    url: String,
    programs: PathBuf,
}

/// A pgbench script for one database.
pub struct PgbenchScript<'a> {
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
        run_command(&mut psql).map(|_| ())
    }

    /// Returns the process from which all processes of the cluster descend.
    pub fn main_process(&self) -> Result<u32> {
        let mut psql = Command::new(self.programs.join("psql"));
        let query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        psql.args(["-q", "-X", "-A", "-t", "-d", &self.url("postgres"), "-c", query]);
        Ok(ProcessTimes::read(run_command(&mut psql)?.trim().parse()?)?.parent)
    }

    /// Prepares a script with this number of clients. If `clients` is `None`, tries each of
    /// [`CLIENT_COUNTS`] for the trial time and takes the fastest.
    pub fn prepare_script<'a>(
        &'a self,
        database: &'a str,
        text: &str,
        clients: Option<usize>,
        trial: Duration,
    ) -> Result<PgbenchScript<'a>> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut script = PgbenchScript { cluster: self, database, file, clients: 1 };
        if let Some(clients) = clients {
            script.clients = clients;
            return Ok(script);
        }
        let mut fastest = (0.0, 1);
        for clients in CLIENT_COUNTS {
            script.clients = clients;
            let per_second = script.run(trial)?.value;
            if per_second > fastest.0 {
                fastest = (per_second, clients);
            }
        }
        script.clients = fastest.1;
        Ok(script)
    }
}

impl PgbenchScript<'_> {
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Returns the transactions per second, with prepared statements and at most two threads.
    pub fn run(&self, time: Duration) -> Result<Measurement> {
        // pgbench takes whole seconds.
        let seconds = time.as_secs().max(1).to_string();
        let mut pgbench = Command::new(self.cluster.programs.join("pgbench"));
        pgbench.args(["-n", "-M", "prepared", "-T", &seconds]);
        pgbench.args(["-j", &self.clients.min(2).to_string(), "-c", &self.clients.to_string()]);
        pgbench.arg("-f").arg(self.file.path()).arg(self.cluster.url(self.database));
        let output = run_command(&mut pgbench)?;
        // Older versions print no such line: a failed transaction ends their run with an error.
        if output.contains("failed transactions: ") && !output.contains("failed transactions: 0 ") {
            bail!("pgbench had failed transactions: {output}");
        }
        Ok(Measurement::new(number_after(&output, "tps = ")?))
    }
}

/// Returns the number after a label in the output of a program.
pub fn number_after(output: &str, label: &str) -> Result<f64> {
    let invalid = || format!("no number after {label:?} in the output: {output}");
    let rest = output.split(label).nth(1).with_context(invalid)?;
    let text = rest.split_whitespace().next().unwrap_or_default();
    text.parse().with_context(invalid)
}

/// Runs a program to its end and returns its output.
pub fn run_command(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}
