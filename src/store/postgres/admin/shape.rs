//! The shape of a schema as lines of text: read from the catalogs, expected after a number of
//! migrations, and compared. The shapes are the one model of the objects that the service makes,
//! checks, relies on and drops; [`super::ownership`] tells them from objects of others.
//!
//! A line is a key and a definition, `posts.title: text not null`. A key of a table (primary,
//! unique or foreign) is identified by its definition, every other object by its name. No line
//! depends on the server's version or the schema's name.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use tokio_postgres::{Client, Error};

use crate::store::migrate::POSTGRES_SHAPES;

/// The index that the first migration adds to the tables of the reference service: key and
/// definition.
pub(super) const ADOPTION_INDEX: (&str, &str) =
    ("index votes_post on votes", "btree (post_id, user_id)");

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) definition: String,
}

impl Line {
    pub(super) fn new(key: &str, definition: &str) -> Self {
        Self { key: key.to_owned(), definition: definition.to_owned() }
    }

    pub(super) fn is_column(&self) -> bool {
        self.key.contains('.') && !self.key.contains(' ')
    }

    /// Returns the table of the object, or `None` for a function.
    pub(super) fn table(&self) -> Option<&str> {
        if self.key.starts_with("function ") {
            return None;
        }
        self.key.rsplit(' ').next()?.split('.').next()
    }

    /// Returns the kind of the object, its name, and the table that has it. A constraint that is
    /// identified by its definition has no name.
    pub(super) fn parts(&self) -> Option<(&str, &str, &str)> {
        if self.is_column() {
            let (table, name) = self.key.split_once('.')?;
            return Some(("column", name, table));
        }
        let (kind, rest) = self.key.split_once(' ')?;
        match rest.split_once(" on ").or_else(|| rest.split_once(" of ")) {
            Some((name, table)) => Some((kind, name, table)),
            None if kind == "constraint" => None,
            None => Some((kind, rest, rest)),
        }
    }

    /// Returns the definition without its state: an object of ours that was disabled, or whose
    /// build was interrupted, is still ours.
    pub(super) fn definition_without_state(&self) -> String {
        let states = [" (not enabled)", " (enabled always)", " (not valid)", " NOT VALID"];
        let definition = self.definition.as_str();
        let stateless = states.iter().find_map(|state| definition.strip_suffix(state));
        let stateless = stateless.unwrap_or(definition);
        if self.key.starts_with("index ") {
            // An adopted text has a maximal length, so an expression converts it first.
            return stateless.replace("::text", "");
        }
        // The path of a function names its schema, which can be renamed.
        stateless.replace(" with another path", " with a path")
    }

    pub(super) fn is_table_or_column(&self) -> bool {
        self.is_column() || self.key.starts_with("table ")
    }

    /// Whether the service cannot work although every object of its own is there: a rule, a
    /// disabled trigger, or a table of another kind.
    pub(super) fn is_obstacle(&self) -> bool {
        self.key.starts_with("rule ")
            || self.definition.ends_with(" (not enabled)")
            || (self.key.starts_with("table ") && self.definition != "ordinary")
    }

    fn describe_difference(&self, found: Option<&Self>) -> String {
        let found = found.map_or("nothing", |line| &line.definition);
        format!("{}: expected {}, found {found}", self.key, self.definition)
    }
}

/// The shape after each migration. Each step of a command needs all of them.
static SHAPES: LazyLock<Vec<Vec<Line>>> =
    LazyLock::new(|| POSTGRES_SHAPES.iter().map(|text| parse(text)).collect());

/// The objects that each migration makes in a database that this service created.
static MADE: LazyLock<Vec<Vec<Line>>> = LazyLock::new(|| {
    let mut before = BTreeSet::new();
    let made = SHAPES.iter().map(|lines| {
        let keys = std::mem::replace(&mut before, lines.iter().map(|line| &line.key).collect());
        lines.iter().filter(|line| !keys.contains(&line.key)).cloned().collect()
    });
    made.collect()
});

/// Every line of every revision.
static ALL: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let all: BTreeSet<_> = SHAPES.iter().flatten().cloned().collect();
    with_adoption_index(all.into_iter().collect())
});

/// Returns the shape after `count` migrations of a database that this service created.
pub(super) fn expected(count: usize) -> Vec<Line> {
    let lines = count.checked_sub(1).and_then(|index| SHAPES.get(index));
    lines.cloned().unwrap_or_default()
}

/// Returns the shape after `count` migrations of an adopted database.
pub(super) fn expected_adopted(count: usize) -> Vec<Line> {
    let lines = if count > 0 { with_adoption_index(expected(count)) } else { Vec::new() };
    lines.into_iter().filter(|line| !line.key.starts_with("sequence ")).collect()
}

/// Returns the objects that the migration with this number (from 1) makes.
pub(super) fn made_by(number: usize, is_adopted: bool) -> Vec<Line> {
    if is_adopted && number == 1 {
        return vec![Line::new(ADOPTION_INDEX.0, ADOPTION_INDEX.1)];
    }
    let lines = number.checked_sub(1).and_then(|index| MADE.get(index));
    lines.cloned().unwrap_or_default()
}

/// Returns every line of every revision.
pub(super) fn of_all_revisions() -> &'static [Line] {
    &ALL
}

/// Returns the shape after all migrations, with everything that only an adopted database has.
pub(super) fn newest() -> Vec<Line> {
    with_adoption_index(expected(POSTGRES_SHAPES.len()))
}

fn with_adoption_index(mut lines: Vec<Line>) -> Vec<Line> {
    lines.push(Line::new(ADOPTION_INDEX.0, ADOPTION_INDEX.1));
    lines
}

/// Parses the text of a shape file.
fn parse(text: &str) -> Vec<Line> {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(key, definition)| Line::new(key, definition))
        .collect()
}

/// Returns the text of a shape file.
pub(super) fn to_text(lines: &[Line]) -> String {
    lines.iter().flat_map(|line| [&line.key, ": ", &line.definition, "\n"]).collect()
}

/// Reads the shape of the current schema, without the table `schema_migrations`.
pub(super) async fn read(client: &Client) -> Result<Vec<Line>, Error> {
    let rows = client.query(include_str!("shape.sql"), &[]).await?;
    let mut lines = rows
        .iter()
        .map(|row| Ok(Line { key: row.try_get(0)?, definition: row.try_get(1)? }))
        .collect::<Result<Vec<_>, Error>>()?;
    lines.sort();
    Ok(lines)
}

/// Returns the lines about the tables and functions that `ours` names.
pub(super) fn relevant(lines: Vec<Line>, ours: &[Line]) -> Vec<Line> {
    let tables: BTreeSet<_> = ours.iter().filter_map(Line::table).collect();
    let keys: BTreeSet<_> = ours.iter().map(|line| line.key.as_str()).collect();
    let is_ours = |line: &Line| match line.table() {
        Some(table) => tables.contains(table),
        None => keys.contains(line.key.as_str()),
    };
    lines.into_iter().filter(is_ours).collect()
}

/// Describes each line that only one side has. Lines are equal if `normalize` makes them equal.
pub(super) fn differences(
    expected: &[Line],
    found: &[Line],
    normalize: impl Fn(&Line) -> Line,
) -> Vec<String> {
    let normalized = |lines: &[Line]| lines.iter().map(&normalize).collect::<BTreeSet<_>>();
    let (all_expected, all_found) = (normalized(expected), normalized(found));
    let missing = expected.iter().filter(|line| !all_found.contains(&normalize(line)));
    let missing: Vec<&Line> = without_parts_of_tables(&missing.collect::<Vec<_>>());
    let surplus = found.iter().filter(|line| !all_expected.contains(&normalize(line)));
    let mut surplus: Vec<&Line> = without_parts_of_tables(&surplus.collect::<Vec<_>>());
    let mut differences = Vec::new();
    for line in missing {
        // A table can have several constraints, so a surplus one need not replace a missing one.
        let is_same = |other: &&Line| other.key == line.key && line.parts().is_some();
        let other = surplus.iter().position(is_same).map(|at| surplus.remove(at));
        differences.push(line.describe_difference(other));
    }
    differences.extend(
        surplus
            .iter()
            .map(|line| format!("{}: expected nothing, found {}", line.key, line.definition)),
    );
    differences
}

/// Removes the columns, indexes and other parts of each table that is itself among the lines.
pub(super) fn without_parts_of_tables<'a>(lines: &[&'a Line]) -> Vec<&'a Line> {
    let is_table = |line: &&&Line| line.key.starts_with("table ");
    let tables: BTreeSet<_> =
        lines.iter().filter(is_table).filter_map(|line| line.table()).collect();
    let belongs = |line: &Line| line.table().is_some_and(|table| tables.contains(table));
    lines.iter().copied().filter(|line| line.key.starts_with("table ") || !belongs(line)).collect()
}
