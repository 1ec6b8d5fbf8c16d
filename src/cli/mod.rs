//! The commands, one file each.
//!
//! Exit codes: 0 done, 1 the check says no or something else failed, 2 usage or settings, 3 database out of reach.

mod db;
mod exit;
mod healthcheck;
mod openapi;
mod output;
mod secret;
mod serve;
mod settings;
mod setup;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{SettingError, Settings, Source};

use self::exit::Exit;

/// Users, posts and votes behind a secure REST API, in one binary.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(flatten)]
    serve: ServeArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API (what happens without a command)
    Serve(ServeArguments),
    /// Look after the database
    Db(db::DbArguments),
    /// Look after the secret that signs the tokens
    Secret(secret::SecretArguments),
    /// Look after accounts
    User(user::UserArguments),
    /// Print the OpenAPI document
    Openapi,
    /// Print the settings in force, secrets masked
    Settings(SourceArguments),
    /// Ask a running service whether it is ready: exit code 0 or 1
    Healthcheck(ServeArguments),
}

#[derive(Debug, Clone, Default, Args)]
struct ServeArguments {
    /// Address to listen on
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on
    #[arg(long)]
    port: Option<String>,
    /// Bring PostgreSQL to the newest revision first (the embedded database always is)
    #[arg(long)]
    upgrade: bool,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Clone, Default, Args)]
struct SourceArguments {
    /// Where the database is: sqlite:PATH or postgresql://…
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// File of settings to read instead of .env
    #[arg(long, value_name = "FILE", global = true)]
    env_file: Option<PathBuf>,
}

impl SourceArguments {
    fn read(&self) -> Result<Source, Exit> {
        let mut source = Source::read(self.env_file.as_deref()).map_err(|fault| vec![fault])?;
        if let Some(url) = &self.database_url {
            source.set("DATABASE_URL", url.clone());
        }
        Ok(source)
    }
}

impl ServeArguments {
    fn read(&self) -> Result<(Settings, Source), Exit> {
        let mut source = self.source.read()?;
        if let Some(host) = &self.host {
            source.set("HOST", host.clone());
        }
        if let Some(port) = &self.port {
            source.set("PORT", port.clone());
        }
        let settings = Settings::load(&source).map_err(|faults: Vec<SettingError>| faults)?;
        Ok((settings, source))
    }
}

/// Runs the command to its end.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        None => serve::run(&arguments.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Db(db)) => db::run(&db),
        Some(Command::Secret(secret)) => secret::run(&secret),
        Some(Command::User(user)) => user::run(&user),
        Some(Command::Openapi) => openapi::run(),
        Some(Command::Settings(source)) => settings::run(&source),
        Some(Command::Healthcheck(serve)) => healthcheck::run(&serve),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(),
    }
}
