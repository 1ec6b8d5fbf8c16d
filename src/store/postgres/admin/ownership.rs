//! Tells our objects from those of others, before the first change of a command.
//!
//! An object is ours if the history says that the step which makes it was begun, and if the object
//! has the shape that some revision gives it. A step's file tolerates being run again
//! (`IF NOT EXISTS`), so the file itself cannot tell its own half-done work from an object of
//! others. These checks run under the advisory lock. They do not protect against a program that
//! creates objects between the check and the step.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Error};

use super::shape::{self, Line};

/// The state in which the downgrade of `0002_downvotes` leaves the check while it deletes
/// downvotes.
const HALF_REVERTED: (&str, &str) = ("constraint votes_dir_check on votes", "CHECK (dir = 1)");

/// The migrations that a command is about to run.
pub(super) struct Path {
    /// Numbers of the migrations, from 1.
    pub(super) numbers: Vec<usize>,
    pub(super) is_up: bool,
    /// Number of applied migrations.
    pub(super) applied: usize,
    /// The migration that was begun and did not finish.
    pub(super) unfinished: Option<usize>,
    pub(super) is_adopted: bool,
}

/// Describes every object of others that the migrations would use, replace or drop.
pub(super) async fn find_obstacles(client: &Client, path: &Path) -> Result<Vec<String>, Error> {
    let found = shape::read(client).await?;
    let mut obstacles = foreign_owners(client, &shape::expected(path.applied)).await?;
    if path.is_up {
        obstacles.extend(find_unsound(&found, &shape::expected(path.applied)));
        obstacles.extend(find_setting(client).await?);
    }
    let known = shape::of_all_revisions();
    let mut dropped = Vec::new();
    let made_by_each = path.numbers.iter().map(|&number| shape::made_by(number, path.is_adopted));
    let made_by_each: Vec<Vec<Line>> = made_by_each.collect();
    // One query, because planning it takes longer than running it.
    let named =
        find_named(client, made_by_each.iter().flat_map(|made| with_own_names(made))).await?;
    for (&number, made) in path.numbers.iter().zip(made_by_each) {
        let is_begun = path.unfinished == Some(number);
        let is_ours =
            |key: &str| (is_begun || !path.is_up) && is_our_object(key, &made, &found, known);
        let is_made = |key: &str| with_own_names(&made).any(|line| line.key == key);
        let foreign = named.iter().filter(|(key, _)| is_made(key) && !is_ours(key));
        obstacles.extend(foreign.map(|(key, description)| format!("{key}: {description}")));
        if !path.is_up {
            obstacles.extend(find_additions(&made, &found, known));
            dropped.extend(made);
        }
    }
    if !dropped.is_empty() {
        let dependants = find_dependants(client, &dropped, known).await?;
        obstacles
            .extend(dependants.iter().map(|object| format!("{object}: needs what is dropped")));
    }
    let mut seen = BTreeSet::new();
    obstacles.retain(|obstacle| seen.insert(obstacle.clone()));
    Ok(obstacles)
}

/// Describes the missing tables and columns of the present revision, and the rules, disabled
/// triggers and changed kinds of its tables.
fn find_unsound(found: &[Line], expected: &[Line]) -> Vec<String> {
    let is_missing = |line: &&Line| !found.iter().any(|other| other.key == line.key);
    let missing: Vec<&Line> =
        expected.iter().filter(|line| line.is_table_or_column()).filter(is_missing).collect();
    let missing = shape::without_parts_of_tables(&missing);
    let missing = missing.iter().map(|line| format!("{}: is missing", line.key));
    let relevant = shape::relevant(found.to_vec(), expected);
    let obstacles = relevant.iter().filter(|line| line.is_obstacle());
    missing.chain(obstacles.map(|line| format!("{}: {}", line.key, line.definition))).collect()
}

/// Whether an object that exists under this key is the one that the migration makes.
fn is_our_object(key: &str, made: &[Line], found: &[Line], known: &[Line]) -> bool {
    let Some(object) = found.iter().find(|line| line.key == key) else {
        return false;
    };
    if let Some(table) = key.strip_prefix("table ") {
        return object.definition.starts_with("ordinary") && has_columns(table, made, found);
    }
    (object.key.as_str(), object.definition_without_state().as_str()) == HALF_REVERTED
        || known
            .iter()
            .any(|line| line.key == key && line.definition == object.definition_without_state())
}

/// Whether the table has every column that `made` gives it.
fn has_columns(table: &str, made: &[Line], found: &[Line]) -> bool {
    let mut columns = made.iter().filter(|line| line.is_column() && line.table() == Some(table));
    columns.all(|column| found.iter().any(|line| line.key == column.key))
}

/// Describes the columns, indexes and other parts of a dropped table that no migration makes: they
/// would be dropped with it.
fn find_additions(made: &[Line], found: &[Line], known: &[Line]) -> Vec<String> {
    let is_known = |line: &Line| {
        let definition = line.definition_without_state();
        known.iter().any(|ours| ours.key == line.key && ours.definition == definition)
            || (line.key.as_str(), definition.as_str()) == HALF_REVERTED
    };
    let tables: BTreeSet<&str> =
        made.iter().filter_map(|line| line.key.strip_prefix("table ")).collect();
    found
        .iter()
        .filter(|line| line.table().is_some_and(|table| tables.contains(table)))
        .filter(|line| !line.key.starts_with("table ") && !is_known(line))
        .map(|line| format!("{}: {}, would be dropped", line.key, line.definition))
        .collect()
}

/// Returns the objects whose names another object of the schema can have. A part of a new table has
/// no name of its own.
fn with_own_names(made: &[Line]) -> impl Iterator<Item = &Line> {
    let tables: BTreeSet<&str> =
        made.iter().filter_map(|line| line.key.strip_prefix("table ")).collect();
    made.iter().filter(move |line| match line.parts() {
        Some(("column" | "constraint" | "trigger", _, table)) => !tables.contains(table),
        parts => parts.is_some(),
    })
}

/// Returns the key and a description of every object that has the name of one of the lines.
async fn find_named(
    client: &Client,
    lines: impl Iterator<Item = &Line>,
) -> Result<Vec<(String, String)>, Error> {
    let (mut keys, mut kinds, mut names, mut tables) = (vec![], vec![], vec![], vec![]);
    for line in lines {
        let Some((kind, name, table)) = line.parts() else { continue };
        keys.push(line.key.as_str());
        kinds.push(kind);
        names.push(name);
        tables.push(table);
    }
    let rows = client.query(include_str!("named.sql"), &[&keys, &kinds, &names, &tables]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn find_dependants(
    client: &Client,
    dropped: &[Line],
    known: &[Line],
) -> Result<Vec<String>, Error> {
    let known: Vec<&str> =
        known.iter().filter(|line| line.is_column()).map(|line| line.key.as_str()).collect();
    let names = |kinds: &[&str]| -> Vec<String> {
        let parts = dropped.iter().filter_map(Line::parts);
        parts
            .filter(|(kind, ..)| kinds.contains(kind))
            .map(|(kind, name, table)| match kind {
                "column" => format!("{table}.{name}"),
                "trigger" | "constraint" => format!("{name} on {table}"),
                _ => name.to_owned(),
            })
            .collect()
    };
    let (tables, columns, functions) =
        (names(&["table"]), names(&["column"]), names(&["function"]));
    let (relations, parts) = (names(&["index", "sequence"]), names(&["trigger", "constraint"]));
    client
        .query(
            include_str!("dependants.sql"),
            &[&tables, &columns, &functions, &relations, &parts, &known],
        )
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect()
}

/// Describes the tables that the role cannot alter, because another role owns them.
pub(super) async fn foreign_owners(client: &Client, ours: &[Line]) -> Result<Vec<String>, Error> {
    let tables: Vec<&str> =
        ours.iter().filter_map(|line| line.key.strip_prefix("table ")).collect();
    client
        .query(
            "SELECT format('table %s: belongs to the role %s, which must run the command',
                           relname, pg_get_userbyid(relowner))
               FROM unnest($1::text[]) AS name
               JOIN pg_class ON pg_class.oid = to_regclass(quote_ident(name))
              WHERE relkind = 'r' AND NOT pg_has_role(relowner, 'USAGE')
              ORDER BY relname",
            &[&tables],
        )
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect()
}

/// Describes the setting under which neither triggers nor foreign keys work.
pub(super) async fn find_setting(client: &Client) -> Result<Option<String>, Error> {
    client
        .query_opt(
            "SELECT format('setting session_replication_role: is %s, so that no trigger works',
                           setting)
               FROM current_setting('session_replication_role') AS setting
              WHERE setting <> 'origin'",
            &[],
        )
        .await?
        .map(|row| row.try_get(0))
        .transpose()
}
