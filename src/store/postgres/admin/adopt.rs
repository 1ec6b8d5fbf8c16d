//! Databases that the reference made, or another service of the same descent: recognised by the
//! shape of their tables, named by what Alembic wrote down.
//!
//! The shape alone decides: it is what our statements meet. A revision of Alembic that we do not
//! know, or none, is said and is no obstacle; a known one is no help where the shape is another.
//! What such a database may have beside: columns that can be left out, indexes that forbid nothing,
//! and tables of others.

use tokio_postgres::{Client, Error};

use super::lock::database;
use super::shape::{self, Line};
use crate::store::migrate::{MigrateError, MigrateResult, POSTGRES_SHAPES};

/// The newest revision of the reference's own migrations.
const REFERENCE_HEAD: &str = "0cf86d064551";
/// What the first step adds where the tables are the reference's.
pub(super) const ADDED: (&str, &str) = ("index votes_post on votes", "btree (post_id, user_id)");

/// A database that can be adopted.
#[derive(Debug)]
pub(super) struct Adoptable {
    /// Where its migrations stand, as the history is to remember it.
    pub(super) origin: String,
    /// What it has beside the reference's shape, and keeps.
    beside: Vec<Line>,
}

/// `None` for a database without tables of our names.
///
/// # Errors
/// [`MigrateError::NotAdoptable`] with every difference, if it has such tables in another shape.
pub(super) async fn recognise(client: &Client) -> MigrateResult<Option<Adoptable>> {
    let first = expected(1);
    let newest = with_added(shape_of(POSTGRES_SHAPES.len()));
    let found = shape::relevant(shape::read(client).await.map_err(database)?, &newest);
    let is_table = |line: &&Line| line.key.starts_with("table ");
    if !first.iter().filter(is_table).any(|table| found.iter().any(|line| line.key == table.key)) {
        return Ok(None);
    }
    let first: Vec<Line> = first.into_iter().filter(|line| line.key != ADDED.0).collect();
    let (beside, found) = part_from_tolerated(found);
    let mut differences = shape::differences(&first, &found, form);
    differences.extend(foreign_owners(client).await.map_err(database)?);
    if !differences.is_empty() {
        return Err(MigrateError::NotAdoptable(differences));
    }
    let origin = origin(client).await.map_err(database)?;
    let origin = origin.unwrap_or_else(|| "no alembic_version".to_owned());
    Ok(Some(Adoptable { origin, beside }))
}

/// How an adopted database differs from what it is to look like after `position` migrations.
pub(super) fn differences(found: Vec<Line>, expected: &[Line]) -> Vec<String> {
    let (_, found) = part_from_tolerated(found);
    shape::differences(expected, &found, form)
}

/// What an adopted database is to look like after `position` migrations.
pub(super) fn expected(position: usize) -> Vec<Line> {
    let lines = if position > 0 { with_added(shape_of(position)) } else { Vec::new() };
    lines.into_iter().filter(|line| !line.key.starts_with("sequence ")).collect()
}

impl Adoptable {
    /// What its adoption means, as sentences.
    pub(super) async fn plan(&self, client: &Client) -> MigrateResult<Vec<String>> {
        let row = client
            .query_one(
                "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts),
                        (SELECT count(*) FROM votes)",
                &[],
            )
            .await
            .map_err(database)?;
        let count = |column| row.try_get::<_, i64>(column).map_err(database);
        let (users, posts, votes) = (count(0)?, count(1)?, count(2)?);
        let origin = &self.origin;
        let whose = if origin.ends_with(REFERENCE_HEAD) {
            format!("adopts the reference's database ({origin})")
        } else {
            format!("adopts tables of the reference's shape ({origin})")
        };
        let mut lines = vec![format!(
            "{whose}: {users} users, {posts} posts and {votes} votes stay as they are"
        )];
        for line in &self.beside {
            lines.push(format!("leaves alone {}: {}", line.key, line.definition));
        }
        Ok(lines)
    }
}

/// A table can only be added to by its owner: that is found out before anything is begun.
async fn foreign_owners(client: &Client) -> Result<Vec<String>, Error> {
    client
        .query(
            "SELECT format('table %s: belongs to the role %s, in whose name this must be done',
                           relname, pg_get_userbyid(relowner))
               FROM pg_class
              WHERE oid IN (to_regclass('users'), to_regclass('posts'), to_regclass('votes'))
                AND NOT pg_has_role(relowner, 'USAGE')
              ORDER BY relname",
            &[],
        )
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect()
}

/// What Alembic wrote down; `None` if it was never there.
pub(super) async fn origin(client: &Client) -> Result<Option<String>, Error> {
    let row = client.query_one("SELECT to_regclass('alembic_version') IS NULL", &[]).await?;
    if row.try_get(0)? {
        return Ok(None);
    }
    let rows =
        client.query("SELECT version_num::text FROM alembic_version ORDER BY 1", &[]).await?;
    let names = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, Error>>()?;
    Ok(Some(match names.len() {
        0 => "an empty alembic_version".to_owned(),
        1 => format!("alembic revision {}", names.concat()),
        _ => format!("alembic revisions {}", names.join(", ")),
    }))
}

pub(super) fn shape_of(position: usize) -> Vec<Line> {
    let text = position.checked_sub(1).and_then(|index| POSTGRES_SHAPES.get(index));
    text.map_or_else(Vec::new, |text| shape::parse(text))
}

fn with_added(mut lines: Vec<Line>) -> Vec<Line> {
    lines.push(Line::new(ADDED.0, ADDED.1));
    lines
}

/// What may be there beside the expected, and the rest. A name that a later migration takes may not.
fn part_from_tolerated(found: Vec<Line>) -> (Vec<Line>, Vec<Line>) {
    let newest = with_added(shape_of(POSTGRES_SHAPES.len()));
    found
        .into_iter()
        .filter(|line| !line.key.starts_with("sequence "))
        .partition(|line| is_tolerated(line) && !newest.iter().any(|ours| ours.key == line.key))
}

fn is_tolerated(line: &Line) -> bool {
    if line.is_column() {
        let can_be_left_out =
            !line.definition.contains(" not null") || line.definition.contains(" default ");
        return can_be_left_out;
    }
    line.key.starts_with("index ") && !line.definition.starts_with("unique ")
}

/// The form in which a line of the reference's and one of ours are the same: texts of any length
/// are texts, numbers are numbers, and a key is the same in whichever order.
fn form(line: &Line) -> Line {
    let mut definition = line.definition.clone();
    if line.is_column() {
        for (theirs, ours) in [("character varying", "text"), ("integer", "bigint")] {
            if let Some(rest) = definition.strip_prefix(theirs)
                && (rest.is_empty() || rest.starts_with(' '))
            {
                definition = format!("{ours}{rest}");
            }
        }
        definition = definition.replace("CURRENT_TIMESTAMP", "now()");
        if let Some((before, _)) = definition.split_once(" default nextval(") {
            definition = format!("{before} default nextval");
        }
    }
    if line.key.starts_with("index ") {
        definition = definition.replace("::text", "");
    }
    if definition == "PRIMARY KEY (user_id, post_id)" {
        "PRIMARY KEY (post_id, user_id)".clone_into(&mut definition);
    }
    Line { key: line.key.clone(), definition }
}
