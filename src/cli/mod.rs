//! The commands of the binary, one file each.
//!
//! Exit codes: 0 done, 1 check or command failed, 2 wrong usage or settings, 3 database unreachable.

mod arguments;
mod backup;
mod completions;
mod db;
mod distribution;
mod doctor;
mod exit;
mod export;
mod healthcheck;
mod import;
mod list_lines;
mod man;
mod minutes;
mod openapi;
mod operator;
mod output;
mod post;
mod reference;
mod restore;
mod scheduled_backups;
mod secret;
mod serve;
mod serve_metrics;
mod settings;
mod setup;
mod signals;
mod transfer_lines;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{SettingError, Settings, Source};
use crate::telemetry;

use self::arguments::move_options_behind_command;

use self::exit::Exit;
use self::output::print_warning;

pub use reference::commands_page;

/// Serve users, posts and votes through a secure REST API
///
/// Exit codes: 0 done, 1 check or command failed, 2 wrong usage or settings, 3 database unreachable.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
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
    #[command(mut_args(|arg| arg.global(true)))]
    Db(db::DbArguments),
    /// Rotate the generated secret that signs tokens
    #[command(mut_args(|arg| arg.global(true)))]
    Secret(secret::SecretArguments),
    /// Manage accounts
    #[command(mut_args(|arg| arg.global(true)))]
    User(user::UserArguments),
    /// List and delete posts
    #[command(mut_args(|arg| arg.global(true)))]
    Post(post::PostArguments),
    /// Copy the embedded database into a verified file, while the service runs
    Backup(backup::BackupArguments),
    /// Replace the embedded database by a backup, while the service is stopped
    Restore(restore::RestoreArguments),
    /// Write users, posts and votes as JSON Lines, from either store
    Export(export::ExportArguments),
    /// Fill an empty database with an export, in either store
    Import(import::ImportArguments),
    /// Check the settings, the files, the port and the database, and change nothing
    ///
    /// Each check is a line: ok, warn, FAIL or skipped, with the cure below it. The exit code is 1
    /// if a check fails, and 0 with warnings. The service can keep running. Run the command as the
    /// user of the service, with its settings.
    Doctor(doctor::DoctorArguments),
    /// Print the OpenAPI document for the settings in force
    Openapi(SourceArguments),
    /// Print the settings in force, with secrets masked
    Settings(SourceArguments),
    /// Check whether the service on this machine is ready: exit code 1 if it is not
    Healthcheck(healthcheck::HealthcheckArguments),
    /// Print the script that completes commands and options in a shell
    Completions(completions::CompletionsArguments),
    /// Write the manual pages
    Man(man::ManArguments),
}

#[derive(Debug, Clone, Default, Args)]
struct ServeArguments {
    /// IP address or host name to listen on (setting `HOST`)
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on, 0 for a free one (setting `PORT`)
    #[arg(long)]
    port: Option<String>,
    /// Migrate PostgreSQL to the newest revision first (the embedded database is always migrated)
    #[arg(long)]
    upgrade: bool,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Clone, Default, Args)]
struct SourceArguments {
    /// Database to use: sqlite:PATH or postgresql://… (setting `DATABASE_URL`)
    #[arg(long, value_name = "URL", display_order = 900)]
    database_url: Option<String>,
    #[command(flatten)]
    env_file: EnvFileArgument,
}

#[derive(Debug, Clone, Default, Args)]
struct EnvFileArgument {
    /// Settings file to read instead of .env
    #[arg(long, value_name = "FILE", display_order = 901)]
    env_file: Option<PathBuf>,
}

impl EnvFileArgument {
    fn read(&self) -> Result<Source, Exit> {
        Ok(self.read_source().map_err(|error| vec![error])?)
    }

    fn read_source(&self) -> Result<Source, SettingError> {
        Source::read(self.env_file.as_deref())
    }
}

impl SourceArguments {
    fn read(&self) -> Result<Source, Exit> {
        Ok(self.read_source().map_err(|error| vec![error])?)
    }

    fn read_source(&self) -> Result<Source, SettingError> {
        let mut source = self.env_file.read_source()?;
        if let Some(url) = &self.database_url {
            source.set("DATABASE_URL", url.clone());
        }
        Ok(source)
    }

    /// Reads for a command that has no log, and prints a warning if it exposes a password.
    fn read_with_warning(&self) -> Result<Source, Exit> {
        let source = self.read()?;
        if let Some(warning) = source.password_on_command_line() {
            print_warning(&warning);
        }
        Ok(source)
    }
}

impl ServeArguments {
    fn read(&self) -> Result<(Settings, Source), Exit> {
        let mut source = self.source.read()?;
        set_listener(&mut source, self.host.as_ref(), self.port.as_ref());
        Ok((Settings::load(&source)?, source))
    }
}

fn set_listener(source: &mut Source, host: Option<&String>, port: Option<&String>) {
    for (name, value) in [("HOST", host), ("PORT", port)] {
        if let Some(value) = value {
            source.set(name, value.clone());
        }
    }
}

/// Parses the command line of this process, runs one command and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let _log = telemetry::FlushOnDrop;
    let arguments = Arguments::parse_from(move_options_behind_command(std::env::args_os()));
    let outcome = match arguments.command {
        None => serve::run(&arguments.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Db(db)) => db::run(&db),
        Some(Command::Secret(secret)) => secret::run(&secret),
        Some(Command::User(user)) => user::run(&user),
        Some(Command::Post(post)) => post::run(&post),
        Some(Command::Backup(backup)) => backup::run(&backup),
        Some(Command::Restore(restore)) => restore::run(&restore),
        Some(Command::Export(export)) => export::run(&export),
        Some(Command::Import(import)) => import::run(&import),
        Some(Command::Doctor(doctor)) => doctor::run(&doctor),
        Some(Command::Openapi(source)) => openapi::run(&source),
        Some(Command::Settings(source)) => settings::run(&source),
        Some(Command::Healthcheck(healthcheck)) => healthcheck::run(&healthcheck),
        Some(Command::Completions(completions)) => completions::run(&completions),
        Some(Command::Man(man)) => man::run(&man),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(),
    }
}
