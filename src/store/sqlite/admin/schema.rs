//! The schema of a file: compared with the one that the migrations make, and checked for objects of
//! others before the first change.
//!
//! The migrations run on an empty database in memory, so their schema is known. A migration is
//! rehearsed on a copy of the file's schema without its rows: the copy shows each statement that
//! would fail, and each object of others that would be dropped.

use std::sync::OnceLock;

use rusqlite::Connection;

use crate::store::migrate::{Direction, SQLITE, Step};

/// An object, as SQLite stores it.
struct Object {
    kind: String,
    name: String,
    sql: Option<String>,
    /// A table that belongs to a virtual table, which creates it.
    is_shadow: bool,
}

impl Object {
    fn key(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Whether both cannot exist in one database. Triggers have names of their own.
    fn has_name_of(&self, other: &Self) -> bool {
        (self.kind == "trigger") == (other.kind == "trigger")
            && self.name.eq_ignore_ascii_case(&other.name)
    }
}

/// Describes how the schema differs from the one that the migrations make.
pub(super) fn differences(database: &Connection, applied: usize) -> rusqlite::Result<Vec<String>> {
    let expected = made_by(applied)?;
    let found = read(database)?;
    let mut differences = Vec::new();
    for object in expected {
        let key = object.key();
        match found.iter().find(|other| other.key() == key) {
            None => differences.push(format!("{key} is missing")),
            Some(other) if other.sql != object.sql => {
                differences.push(format!("{key} was changed"));
            }
            Some(_) => {}
        }
    }
    for key in found.iter().map(Object::key) {
        if !expected.iter().any(|other| other.key() == key) {
            differences.push(format!("{key} is not of any migration"));
        }
    }
    Ok(differences)
}

/// Describes every object of others that the migrations from `applied` to the target would meet or
/// drop, and the first statement that would fail.
pub(super) fn find_obstacles(
    database: &Connection,
    applied: usize,
    target: usize,
) -> rusqlite::Result<Vec<String>> {
    let (before, after) = (made_by(applied)?, made_by(target)?);
    let found = read(database)?;
    let mut obstacles = Vec::new();
    if target > applied {
        for object in made_between(before, after) {
            let others = found.iter().filter(|other| other.has_name_of(object));
            obstacles.extend(others.map(|other| {
                format!(
                    "{}: is not of this service, which would make {}",
                    other.key(),
                    object.key()
                )
            }));
        }
    } else {
        for object in made_between(after, before) {
            let others = found.iter().filter(|other| {
                other.has_name_of(object)
                    && (other.key() != object.key() || other.sql != object.sql)
            });
            obstacles.extend(
                others.map(|other| {
                    format!("{}: is not the one that the migrations make", other.key())
                }),
            );
        }
    }
    if obstacles.is_empty() {
        obstacles = rehearse(&found, before, applied, target)?;
    }
    Ok(obstacles)
}

/// Returns the objects that `more` has and `fewer` does not.
fn made_between<'a>(fewer: &[Object], more: &'a [Object]) -> impl Iterator<Item = &'a Object> {
    let keys: Vec<String> = fewer.iter().map(Object::key).collect();
    more.iter().filter(move |object| !keys.contains(&object.key()))
}

fn rehearse(
    found: &[Object],
    ours: &[Object],
    applied: usize,
    target: usize,
) -> rusqlite::Result<Vec<String>> {
    let copy = empty_database()?;
    let mut foreign = Vec::new();
    for object in found.iter().filter(|object| !object.is_shadow) {
        let is_copied = object.sql.as_deref().is_some_and(|sql| copy.execute_batch(sql).is_ok());
        // This process may not have the module of a virtual table. The steps do not touch it.
        if is_copied && !ours.iter().any(|our| our.key() == object.key()) {
            foreign.push(object.key());
        }
    }
    let mut at = applied;
    while let Some(step) = Step::next(SQLITE, at, target) {
        if let Err(error) = copy.execute_batch(step.sql()) {
            return Ok(vec![format!("{}: would fail: {error}", step.migration.revision)]);
        }
        match step.direction {
            Direction::Up => at += 1,
            Direction::Down => at -= 1,
        }
    }
    let left: Vec<String> = read(&copy)?.iter().map(Object::key).collect();
    let lost = foreign.into_iter().filter(|key| !left.contains(key));
    Ok(lost.map(|key| format!("{key}: would be dropped")).collect())
}

/// Returns the objects that the first `count` migrations make.
fn made_by(count: usize) -> rusqlite::Result<&'static [Object]> {
    // Each step of an upgrade needs them, and running the migrations takes longer than the step.
    static MADE: OnceLock<Vec<Vec<Object>>> = OnceLock::new();
    let made = if let Some(made) = MADE.get() {
        made
    } else {
        let made = run_all()?;
        MADE.get_or_init(|| made)
    };
    Ok(made.get(count).or(made.last()).map_or(&[], Vec::as_slice))
}

/// Returns the objects after each number of migrations, from 0.
fn run_all() -> rusqlite::Result<Vec<Vec<Object>>> {
    let pristine = empty_database()?;
    let mut made = vec![read(&pristine)?];
    for migration in SQLITE {
        pristine.execute_batch(migration.up)?;
        made.push(read(&pristine)?);
    }
    Ok(made)
}

fn empty_database() -> rusqlite::Result<Connection> {
    let database = Connection::open_in_memory()?;
    database.pragma_update(None, "foreign_keys", true)?;
    database.pragma_update(None, "trusted_schema", false)?;
    Ok(database)
}

/// Reads tables, indexes, views and triggers in an order in which they can be created.
fn read(database: &Connection) -> rusqlite::Result<Vec<Object>> {
    database
        .prepare(
            "SELECT type, name, sql,
                    name IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')
               FROM sqlite_schema
              WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'schema_migrations'
              ORDER BY type = 'trigger', type = 'view', type = 'index', rowid",
        )?
        .query_map([], |row| {
            Ok(Object {
                kind: row.get(0)?,
                name: row.get(1)?,
                sql: row.get(2)?,
                is_shadow: row.get(3)?,
            })
        })?
        .collect()
}
