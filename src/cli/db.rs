//! `post-api db`: migrates and verifies the database.

use clap::{Args, Subcommand};

use super::SourceArguments;
use super::distribution;
use super::exit::Exit;
use super::output::{NOTHING_TO_DO, print};
use super::setup::{block_on, make_private_folder, open_admin};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, DatabaseSettings};
use crate::store::migrate::{
    Direction, MigrateError, SchemaAdmin, Step, count_applied, find_target, migrate,
    newer_revisions, revision_at,
};

#[derive(Debug, Args)]
pub(super) struct DbArguments {
    #[command(subcommand)]
    command: DbCommand,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Migrate the database up to a revision
    ///
    /// PostgreSQL is migrated online: no write waits longer than one second.
    Upgrade {
        /// Name or number of the revision, +N for N steps, or head for the newest
        #[arg(default_value = "head")]
        revision: String,
        /// Print the SQL instead of running it
        #[arg(long)]
        sql: bool,
        /// Print the steps without running them
        #[arg(long, conflicts_with = "sql")]
        dry_run: bool,
    },
    /// Migrate the database down to a revision
    Downgrade {
        /// Name or number of the revision, -N for N steps, or base for the state before the first
        #[arg(allow_hyphen_values = true)]
        revision: String,
        /// Print the SQL instead of running it
        #[arg(long)]
        sql: bool,
    },
    /// Print the revision of the database
    Current,
    /// List all revisions and when each was applied
    History,
    /// Compare the schema with the migrations: exit code 1 if it is out of date or was changed
    Check,
    /// Distribute the posts and votes over the servers of Citus
    ///
    /// Run it while the service is stopped, as the owner of the tables, on the coordinator. It needs
    /// Citus 13 or 14. docs/scaling.md says what it costs, and what a distributed database lacks.
    Distribute {
        /// Number of shards; more than servers, so that servers can be added later
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
        shards: u32,
    },
    /// Bring all rows back to the coordinator
    ///
    /// Run it while the service is stopped, as the owner of the tables.
    Undistribute,
    /// Record a revision for the database without running any migration
    Stamp {
        /// Name or number of the revision, base or head
        revision: String,
    },
    /// Recount the votes of every post: exit code 1 if a count is wrong
    Verify {
        /// Mend wrong counts and sequences, and delete votes without their post or user
        ///
        /// The service can keep running: the repair works in small transactions. On PostgreSQL, run it
        /// as the owner of the tables. A post without its owner is reported and stays, so the exit
        /// code is 1.
        #[arg(long)]
        repair: bool,
    },
}

impl DbCommand {
    /// Returns whether the command creates a missing database.
    fn may_create(&self) -> bool {
        matches!(self, Self::Upgrade { sql: false, dry_run: false, .. } | Self::Stamp { .. })
    }
}

pub(super) fn run(arguments: &DbArguments) -> Result<(), Exit> {
    let source = arguments.source.read_with_warning()?;
    let settings = DatabaseSettings::load(&source)?;
    let is_embedded = matches!(settings.database, Database::Sqlite(_));
    if is_embedded && arguments.command.may_create() {
        make_private_folder(&settings.data_dir)?;
    }
    block_on(execute(&arguments.command, &settings.database))
}

async fn execute(command: &DbCommand, database: &Database) -> Result<(), Exit> {
    match command {
        DbCommand::Distribute { shards } => {
            return distribution::distribute(database, *shards).await;
        }
        DbCommand::Undistribute => return distribution::undistribute(database).await,
        _ => {}
    }
    let mut admin = open_admin(database).await?;
    let admin = admin.as_mut();
    match command {
        DbCommand::Upgrade { revision, sql, dry_run } => {
            let (at, target) = find_path(admin, revision, Direction::Up).await?;
            match (dry_run, sql) {
                (true, _) => print_plan(admin, target).await,
                (_, true) => {
                    // Planning fails if the upgrade would fail.
                    admin.plan(target).await?;
                    print_script(admin, at, target)
                }
                _ => move_to(admin, target).await,
            }
        }
        DbCommand::Downgrade { revision, sql } => {
            let (at, target) = find_path(admin, revision, Direction::Down).await?;
            if *sql {
                // Planning fails if the downgrade would fail.
                admin.plan(target).await?;
                print_script(admin, at, target)
            } else {
                move_to(admin, target).await
            }
        }
        DbCommand::Current => {
            let at = current_position(admin).await?;
            print(revision_at(admin.migrations(), at))
        }
        DbCommand::History => print_history(admin).await,
        DbCommand::Check => check(admin).await,
        DbCommand::Stamp { revision } => {
            if revision.starts_with(['+', '-']) {
                let problem =
                    format!("could not stamp {revision}: give the name or number of a revision");
                return Err(Exit::Usage(problem));
            }
            let target = find_target(admin.migrations(), 0, revision)?;
            admin.stamp(target, SystemClock.now()).await?;
            print(revision_at(admin.migrations(), target))
        }
        DbCommand::Verify { repair } => verify(admin, *repair).await,
        DbCommand::Distribute { .. } | DbCommand::Undistribute => Ok(()),
    }
}

async fn current_position(admin: &mut dyn SchemaAdmin) -> Result<usize, Exit> {
    let applied = admin.applied().await?;
    Ok(count_applied(admin.migrations(), &applied)?)
}

/// Returns the position of the database and of the target: the number of applied migrations.
///
/// # Errors
/// [`Exit`] if the revision does not exist or lies in the other direction.
async fn find_path(
    admin: &mut dyn SchemaAdmin,
    revision: &str,
    direction: Direction,
) -> Result<(usize, usize), Exit> {
    let at = current_position(admin).await?;
    let target = find_target(admin.migrations(), at, revision)?;
    let (is_wrong, way) = match direction {
        Direction::Up => (target < at, "up"),
        Direction::Down => (target > at, "down"),
    };
    if is_wrong {
        let at = revision_at(admin.migrations(), at).to_owned();
        return Err(MigrateError::WrongWay(revision.to_owned(), way, at).into());
    }
    Ok((at, target))
}

async fn move_to(admin: &mut dyn SchemaAdmin, target: usize) -> Result<(), Exit> {
    let mut done = Vec::new();
    let outcome = migrate(admin, target, SystemClock.now(), |step| done.push(describe(step))).await;
    for line in &done {
        print(line)?;
    }
    outcome?;
    if done.is_empty() {
        print(NOTHING_TO_DO)?;
    }
    print_notes(admin).await
}

async fn print_plan(admin: &mut dyn SchemaAdmin, target: usize) -> Result<(), Exit> {
    let lines = admin.plan(target).await?;
    if lines.is_empty() {
        return print(NOTHING_TO_DO);
    }
    for line in lines {
        print(&line)?;
    }
    Ok(())
}

fn print_script(admin: &dyn SchemaAdmin, at: usize, target: usize) -> Result<(), Exit> {
    if at == target {
        return print(&format!("-- {NOTHING_TO_DO}"));
    }
    let mut at = at;
    while let Some(step) = Step::next(admin.migrations(), at, target) {
        print(&admin.script(step, SystemClock.now()))?;
        match step.direction {
            Direction::Up => at += 1,
            Direction::Down => at -= 1,
        }
    }
    Ok(())
}

fn describe(step: Step) -> String {
    let way = match step.direction {
        Direction::Up => "up  ",
        Direction::Down => "down",
    };
    format!("{way} {}", step.migration.revision)
}

async fn print_history(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    let applied = admin.applied().await?;
    count_applied(admin.migrations(), &applied)?;
    let newer = newer_revisions(admin.migrations(), &applied);
    for (number, migration) in admin.migrations().iter().enumerate() {
        let when = applied.get(number).map_or_else(
            || "not applied".to_owned(),
            |applied| format!("applied {:.0}", applied.applied_at),
        );
        print(&format!("{}  {when}", migration.revision))?;
    }
    for revision in newer {
        print(&format!("{revision}  applied by a newer release"))?;
    }
    Ok(())
}

async fn check(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    let at = current_position(admin).await?;
    let mut problems = admin.schema_differences().await?;
    let pending = admin.migrations().len().saturating_sub(at);
    if pending > 0 {
        let at = revision_at(admin.migrations(), at);
        problems
            .push(format!("the database is at {at}, {pending} behind: run `post-api db upgrade`"));
    }
    if !problems.is_empty() {
        return Err(Exit::CheckFailed(problems));
    }
    print("the schema matches the migrations")?;
    print_notes(admin).await
}

async fn print_notes(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    for note in admin.notes().await? {
        print(&format!("note: {note}"))?;
    }
    Ok(())
}

async fn verify(admin: &mut dyn SchemaAdmin, repair: bool) -> Result<(), Exit> {
    let at = current_position(admin).await?;
    if at < admin.migrations().len() {
        let at = revision_at(admin.migrations(), at);
        let problem = format!("the database is at {at}: run `post-api db upgrade` first");
        return Err(Exit::CheckFailed(vec![problem]));
    }
    if repair {
        for line in admin.repair().await? {
            print(&line)?;
        }
    }
    let wrong = admin.wrong_counts().await?;
    if wrong.is_empty() {
        print("every count matches its votes")?;
        return print_notes(admin).await;
    }
    Err(Exit::CheckFailed(wrong))
}
