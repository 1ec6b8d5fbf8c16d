//! `post-api db`: migrations, and whether the database is as it should be.

use clap::{Args, Subcommand};

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use super::setup::{block_on, make_private_folder, open_admin};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, Settings};
use crate::store::migrate::{
    Direction, MigrateError, SchemaAdmin, Step, find_target, migrate, position, revision_at,
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
    /// Go up to a revision: its name or number, +N, or head
    Upgrade {
        #[arg(default_value = "head")]
        revision: String,
        /// Print the SQL instead of running it
        #[arg(long)]
        sql: bool,
        /// Say what would be done, and change nothing
        #[arg(long, conflicts_with = "sql")]
        dry_run: bool,
    },
    /// Go down to a revision: its name or number, -N, or base
    Downgrade {
        #[arg(allow_hyphen_values = true)]
        revision: String,
        /// Print the SQL instead of running it
        #[arg(long)]
        sql: bool,
    },
    /// Print the revision that the database is at
    Current,
    /// List all revisions, and which of them the database has
    History,
    /// Compare the database with its migrations: exit code 1 if it is behind or was changed
    Check,
    /// Declare the database to be at a revision, without running anything
    Stamp { revision: String },
    /// Recount every post's votes: exit code 1 if a count is wrong
    Verify,
}

impl DbCommand {
    /// Whether it makes a database that is not there.
    fn may_create(&self) -> bool {
        matches!(self, Self::Upgrade { sql: false, dry_run: false, .. } | Self::Stamp { .. })
    }
}

pub(super) fn run(arguments: &DbArguments) -> Result<(), Exit> {
    let source = arguments.source.read()?;
    let settings = Settings::load(&source)?;
    let is_embedded = matches!(settings.database, Database::Sqlite(_));
    if is_embedded && arguments.command.may_create() {
        make_private_folder(&settings.data_dir)?;
    }
    block_on(execute(&arguments.command, &settings.database))
}

async fn execute(command: &DbCommand, database: &Database) -> Result<(), Exit> {
    let mut admin = open_admin(database).await?;
    let admin = admin.as_mut();
    match command {
        DbCommand::Upgrade { revision, sql, dry_run } => {
            let (at, target) = find_way(admin, revision, Direction::Up).await?;
            match (dry_run, sql) {
                (true, _) => print_plan(admin, target).await,
                (_, true) => {
                    // Refuses what the upgrade would refuse.
                    admin.plan(target).await?;
                    print_script(admin, at, target)
                }
                _ => move_to(admin, target).await,
            }
        }
        DbCommand::Downgrade { revision, sql } => {
            let (at, target) = find_way(admin, revision, Direction::Down).await?;
            if *sql { print_script(admin, at, target) } else { move_to(admin, target).await }
        }
        DbCommand::Current => {
            let at = where_is(admin).await?;
            print(revision_at(admin.migrations(), at))
        }
        DbCommand::History => print_history(admin).await,
        DbCommand::Check => check(admin).await,
        DbCommand::Stamp { revision } => {
            if revision.starts_with(['+', '-']) {
                let problem = format!("{revision} is no revision to declare: name one");
                return Err(Exit::Usage(problem));
            }
            let target = find_target(admin.migrations(), 0, revision)?;
            admin.stamp(target, SystemClock.now()).await?;
            print(revision_at(admin.migrations(), target))
        }
        DbCommand::Verify => verify(admin).await,
    }
}

async fn where_is(admin: &mut dyn SchemaAdmin) -> Result<usize, Exit> {
    let applied = admin.applied().await?;
    Ok(position(admin.migrations(), &applied)?)
}

/// Where the database is, and where the word leads.
async fn find_way(
    admin: &mut dyn SchemaAdmin,
    revision: &str,
    direction: Direction,
) -> Result<(usize, usize), Exit> {
    let at = where_is(admin).await?;
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
    for line in done {
        print(&line)?;
    }
    outcome?;
    for remark in admin.notes().await? {
        print(&format!("note: {remark}"))?;
    }
    Ok(())
}

async fn print_plan(admin: &mut dyn SchemaAdmin, target: usize) -> Result<(), Exit> {
    let lines = admin.plan(target).await?;
    if lines.is_empty() {
        return print("there is nothing to do");
    }
    for line in lines {
        print(&line)?;
    }
    Ok(())
}

fn print_script(admin: &dyn SchemaAdmin, at: usize, target: usize) -> Result<(), Exit> {
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
    position(admin.migrations(), &applied)?;
    for (number, migration) in admin.migrations().iter().enumerate() {
        let when = applied.get(number).map_or_else(
            || "not applied".to_owned(),
            |applied| format!("applied {:.0}", applied.applied_at),
        );
        print(&format!("{}  {when}", migration.revision))?;
    }
    Ok(())
}

async fn check(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    let at = where_is(admin).await?;
    let mut problems = admin.schema_differences().await?;
    let pending = admin.migrations().len().saturating_sub(at);
    if pending > 0 {
        let at = revision_at(admin.migrations(), at);
        problems
            .push(format!("the database is at {at}, {pending} behind: run `post-api db upgrade`"));
    }
    if problems.is_empty() {
        return print("the database is as its migrations make it");
    }
    Err(Exit::CheckFailed(problems))
}

async fn verify(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    let at = where_is(admin).await?;
    if at < admin.migrations().len() {
        let at = revision_at(admin.migrations(), at);
        let problem = format!("the database is at {at}: run `post-api db upgrade` first");
        return Err(Exit::CheckFailed(vec![problem]));
    }
    let wrong = admin.wrong_counts().await?;
    if wrong.is_empty() {
        return print("every count is the sum of its votes");
    }
    Err(Exit::CheckFailed(wrong))
}
