//! `post-api doctor`: checks an installation. It only reads, and works while the service runs.

mod backups;
mod certificate;
mod database;
mod disk;
mod files;
mod host;
mod listener;
mod memory_limit;
mod metrics_address;
mod report;
mod settings;

use std::path::Path;

use clap::Args;

use self::report::Report;
use super::SourceArguments;
use super::exit::Exit;
use super::setup::block_on;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, SettingError, Settings, Source};
use crate::store::inspection::{Finding, NamedFinding};
use crate::store::postgres::PostgresInspector;
use crate::store::sqlite::SqliteInspector;

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Also read every page and every row of the database, which can take minutes
    #[arg(long)]
    full: bool,
    /// Print an object in JSON for each check
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArguments,
}

/// A check that needs only the settings.
type Check = (&'static str, fn(&Settings) -> Finding);

const CHECKS: [Check; 12] = [
    ("secret", settings::check_secret),
    ("proxies", settings::check_proxies),
    ("cors", settings::check_cors),
    ("file-access", files::check_access),
    ("disk-space", disk::check_space),
    ("file-system", disk::check_file_system),
    ("backups", |settings| backups::check(settings, SystemClock.now())),
    ("tls", |settings| certificate::check(settings, SystemClock.now())),
    ("port", listener::check_port),
    ("metrics-address", metrics_address::check),
    ("open-files", |_| host::check_open_files()),
    ("memory", host::check_memory),
];

/// The first check of the database.
const DATABASE: &str = "database";

pub(super) fn run(arguments: &DoctorArguments) -> Result<(), Exit> {
    let mut report = Report::new(arguments.json);
    match load(&arguments.source) {
        Err(faults) => {
            report.add(("settings", settings::describe_faults(&faults)))?;
            let later = CHECKS.iter().map(|(check, _)| *check);
            for check in later.chain(["database-tls", DATABASE]) {
                report.add((check, Finding::skipped("the settings cannot be used")))?;
            }
        }
        Ok((loaded, source)) => {
            report.add(("settings", settings::check_settings(&loaded, &source)))?;
            for (check, find) in CHECKS {
                report.add((check, find(&loaded)))?;
            }
            block_on(check_database(&loaded.database, &loaded, arguments.full, &mut report))?;
        }
    }
    report.finish()
}

fn load(arguments: &SourceArguments) -> Result<(Settings, Source), Vec<SettingError>> {
    let source = arguments.read_source().map_err(|error| vec![error])?;
    Ok((Settings::load(&source)?, source))
}

async fn check_database(
    database: &Database,
    settings: &Settings,
    is_full: bool,
    report: &mut Report,
) -> Result<(), Exit> {
    let findings: Vec<NamedFinding> = match database {
        Database::Sqlite(path) => check_sqlite(path, is_full).await,
        Database::Postgres(address) => {
            report.add(("database-tls", settings::check_database_tls(settings)))?;
            let opened = PostgresInspector::connect(address).await;
            let opened = opened.map(|inspector| (inspector, address.describe()));
            let cure = "start the server, or correct its address in DATABASE_URL";
            database::inspect(opened, &PostgresInspector::CHECKS, is_full, cure).await
        }
    };
    findings.into_iter().try_for_each(|finding| report.add(finding))
}

async fn check_sqlite(path: &Path, is_full: bool) -> Vec<NamedFinding> {
    let opened = match SqliteInspector::open(path) {
        Ok(None) => return database::describe_missing(path, &SqliteInspector::CHECKS),
        Ok(Some(inspector)) => Ok((inspector, path.display().to_string())),
        Err(error) => Err(error),
    };
    database::inspect(opened, &SqliteInspector::CHECKS, is_full, "").await
}
