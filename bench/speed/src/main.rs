//! Measures the speed of the service against baselines and other servers. `scripts/bench` installs
//! them, starts PostgreSQL and runs this program. Client, service and database share the cores of
//! one machine.

mod answers;
mod baselines;
mod comparison;
mod load;
mod noop_server;
mod operation;
mod pocketbase;
mod postgres;
mod process;
mod report;
mod run;
mod seed;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measure the speed of the service against baselines and other servers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the service and print the tables
    Run(Box<Options>),
    /// Serve a fixed response to requests with a valid token
    NoopServer {
        #[arg(long)]
        port: u16,
        /// The SQLite file to open
        #[arg(long)]
        database: PathBuf,
    },
}

#[derive(clap::Args)]
pub struct Options {
    /// Binary of the service
    #[arg(long)]
    service: PathBuf,
    /// URL of a PostgreSQL cluster without a database name: `postgresql://…/`
    #[arg(long)]
    postgres: String,
    /// Folder of psql and pgbench
    #[arg(long)]
    postgres_programs: PathBuf,
    /// Binary of the typical service; without it, the group `typical` is skipped
    #[arg(long)]
    typical: Option<PathBuf>,
    /// Binary of wrk; without it, the group `wrk` is skipped
    #[arg(long)]
    wrk: Option<PathBuf>,
    /// Binary of PocketBase; without it, the group `pocketbase` is skipped
    #[arg(long)]
    pocketbase: Option<PathBuf>,
    /// Python interpreter with the FastAPI stack; without it, the group `reference` is skipped
    #[arg(long)]
    reference: Option<PathBuf>,
    /// Folder with the `app.py` of the FastAPI stack
    #[arg(long)]
    reference_folder: Option<PathBuf>,
    /// Compare only with this other build of the service
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Measure only briefly, to check that everything works; the values mean nothing
    #[arg(long)]
    quick: bool,
    /// Rounds of each comparison
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each side of a comparison in a round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections of the load generator
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Markdown page to write the tables into, between its markers
    #[arg(long)]
    page: Option<PathBuf>,
    /// Groups to measure: postgres, sqlite, typical, wrk, keys, login, interference, memory, pocketbase,
    /// reference; all if none is given
    groups: Vec<String>,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::NoopServer { port, database } => noop_server::serve(port, &database),
    }
}
