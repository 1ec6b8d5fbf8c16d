//! What a schema looks like, as lines of text: read from the catalogs, and compared.
//!
//! A line is a key and a definition, `posts.title: text not null`. Constraints are known by what
//! they say, not by their names, and nothing that depends on the server's version or on the name of
//! the schema is in it. Tables of others are not our business.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Error};

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

    /// The table that it belongs to; a function belongs to none.
    pub(super) fn table(&self) -> Option<&str> {
        if self.key.starts_with("function ") {
            return None;
        }
        self.key.rsplit(' ').next()?.split('.').next()
    }

    fn told(&self, found: Option<&Self>) -> String {
        let found = found.map_or("nothing", |line| &line.definition);
        format!("{}: expected {}, found {found}", self.key, self.definition)
    }
}

/// The lines of a file.
pub(super) fn parse(text: &str) -> Vec<Line> {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(key, definition)| Line::new(key, definition))
        .collect()
}

/// The lines as a file.
pub(super) fn print(lines: &[Line]) -> String {
    lines.iter().flat_map(|line| [&line.key, ": ", &line.definition, "\n"]).collect()
}

/// All that the current schema holds, but the history.
pub(super) async fn read(client: &Client) -> Result<Vec<Line>, Error> {
    let rows = client.query(include_str!("shape.sql"), &[]).await?;
    let mut lines = rows
        .iter()
        .map(|row| Ok(Line { key: row.try_get(0)?, definition: row.try_get(1)? }))
        .collect::<Result<Vec<_>, Error>>()?;
    lines.sort();
    Ok(lines)
}

/// Those lines that are about the same tables and functions as `ours`.
pub(super) fn relevant(lines: Vec<Line>, ours: &[Line]) -> Vec<Line> {
    let tables: BTreeSet<_> = ours.iter().filter_map(Line::table).collect();
    let keys: BTreeSet<_> = ours.iter().map(|line| line.key.as_str()).collect();
    let is_ours = |line: &Line| match line.table() {
        Some(table) => tables.contains(table),
        None => keys.contains(line.key.as_str()),
    };
    lines.into_iter().filter(is_ours).collect()
}

/// What is expected and not found, and what is found and not expected, each as a sentence. Lines
/// are the same if `form` makes the same of them.
pub(super) fn differences(
    expected: &[Line],
    found: &[Line],
    form: impl Fn(&Line) -> Line,
) -> Vec<String> {
    let forms = |lines: &[Line]| lines.iter().map(&form).collect::<BTreeSet<_>>();
    let (expected_forms, found_forms) = (forms(expected), forms(found));
    let missing = expected.iter().filter(|line| !found_forms.contains(&form(line)));
    let missing: Vec<&Line> = whole_tables(&missing.collect::<Vec<_>>());
    let surplus = found.iter().filter(|line| !expected_forms.contains(&form(line)));
    let mut surplus: Vec<&Line> = whole_tables(&surplus.collect::<Vec<_>>());
    let mut told = Vec::new();
    for line in missing {
        // A table has several constraints: which of them was meant to be which is not known.
        let is_same = |other: &&Line| other.key == line.key && !line.key.starts_with("constraint ");
        let other = surplus.iter().position(is_same).map(|at| surplus.remove(at));
        told.push(line.told(other));
    }
    told.extend(
        surplus
            .iter()
            .map(|line| format!("{}: expected nothing, found {}", line.key, line.definition)),
    );
    told
}

/// Without what belongs to a table that is itself among the lines.
pub(super) fn whole_tables<'a>(lines: &[&'a Line]) -> Vec<&'a Line> {
    let is_table = |line: &&&Line| line.key.starts_with("table ");
    let tables: BTreeSet<_> =
        lines.iter().filter(is_table).filter_map(|line| line.table()).collect();
    let belongs = |line: &Line| line.table().is_some_and(|table| tables.contains(table));
    lines.iter().copied().filter(|line| line.key.starts_with("table ") || !belongs(line)).collect()
}
