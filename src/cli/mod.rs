//! The commands of the binary, one file each.
//!
//! Exit codes: 0 done, 1 check or command failed, 2 wrong usage or settings, 3 database unreachable.

mod db;
mod exit;
mod healthcheck;
mod openapi;
mod output;
mod reference;
mod secret;
mod serve;
mod settings;
mod setup;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Settings, Source};

use self::exit::Exit;

pub use reference::commands_page;

/// Serve users, posts and votes through a secure REST API
///
/// Exit codes: 0 done, 1 check or command failed, 2 wrong usage or settings, 3 database unreachable.
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
    /// Serve the API (the default command)
    Serve(ServeArguments),
    /// Migrate and verify the database
    Db(db::DbArguments),
    /// Rotate the generated secret that signs tokens
    Secret(secret::SecretArguments),
    /// Manage accounts
    User(user::UserArguments),
    /// Print the OpenAPI document
    Openapi,
    /// Print the settings in force, with secrets masked
    Settings(SourceArguments),
    /// Check whether the service on this machine is ready: exit code 1 if it is not
    #[command(
        mut_arg("host", |arg| arg.help("IP address or host name of the service (setting `HOST`)")),
        mut_arg("port", |arg| arg.help("Port of the service (setting `PORT`)")),
        mut_arg("upgrade", |arg| arg.hide(true))
    )]
    Healthcheck(ServeArguments),
}

#[derive(Debug, Clone, Default, Args)]
struct ServeArguments {
    /// IP address or host name to listen on (setting `HOST`)
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on, 0 for a free one (setting `PORT`)
    #[arg(long)]
    port: Option<String>,
    /// Migrate PostgreSQL to the newest revision first (the embedded database always is)
    #[arg(long)]
    upgrade: bool,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Clone, Default, Args)]
struct SourceArguments {
    /// Database to use: sqlite:PATH or postgresql://… (setting `DATABASE_URL`)
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// Settings file to read instead of .env
    #[arg(long, value_name = "FILE", global = true)]
    env_file: Option<PathBuf>,
}

impl SourceArguments {
    fn read(&self) -> Result<Source, Exit> {
        let mut source = Source::read(self.env_file.as_deref()).map_err(|error| vec![error])?;
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
        Ok((Settings::load(&source)?, source))
    }
}

/// Runs one command and returns its exit code.
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
