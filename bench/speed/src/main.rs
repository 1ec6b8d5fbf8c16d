//! Measures the service beside what it is to be faster than: `scripts/bench` starts what that needs
//! and runs this. Client, service and database share the machine's cores.

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
#[command(about = "Measures the service beside its peers, in turn")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures
    Run(Box<Options>),
    /// Serves a constant, once the token was verified
    Constant {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        database: PathBuf,
    },
}

#[derive(clap::Args)]
pub struct Options {
    /// The service's binary
    #[arg(long)]
    service: PathBuf,
    /// `postgresql://…/`, to which a database's name can be added
    #[arg(long)]
    postgres: String,
    /// The folder of psql and pgbench
    #[arg(long)]
    postgres_programs: PathBuf,
    #[arg(long)]
    pocketbase: Option<PathBuf>,
    /// The Python that has the reference's stack
    #[arg(long)]
    reference: Option<PathBuf>,
    /// The folder of the reference's stack
    #[arg(long)]
    reference_folder: Option<PathBuf>,
    /// Another build of the service, and nothing else: what the change between them has brought
    #[arg(long)]
    beside: Option<PathBuf>,
    /// A round of a moment each: to see that everything works
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of each side in a round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The page that the figures are put into
    #[arg(long)]
    page: Option<PathBuf>,
    /// Only groups with such a name: postgres, embedded, login, pocketbase, reference, memory
    only: Vec<String>,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Constant { port, database } => noop_server::serve(port, &database),
    }
}
