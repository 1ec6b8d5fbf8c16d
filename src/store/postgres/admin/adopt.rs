//! Databases that the reference service created, or another service with the same Alembic
//! migrations. The shape of the tables decides whether a database is adopted. `alembic_version` is
//! only reported.
//!
//! The service's statements depend on the shape, not on the Alembic revision. An unknown or missing
//! revision therefore does not prevent adoption, and a known revision does not permit it if the
//! shape differs. An adopted database may also have columns that an INSERT can omit, indexes that
//! are not unique, and other tables.

use futures_util::TryStreamExt as _;
use tokio_postgres::{Client, Error};

use super::ownership::foreign_owners;
use super::shape::{self, ADOPTION_INDEX, Line};
use crate::domain::email::Email;
use crate::store::migrate::{MigrateError, MigrateResult};

/// The newest Alembic revision of the reference service.
const REFERENCE_HEAD: &str = "0cf86d064551";

/// A database that can be adopted.
#[derive(Debug)]
pub(super) struct Adoptable {
    /// The Alembic revision of the database, in the words that the history records.
    pub(super) origin: String,
    /// Columns and indexes that the reference service does not have. They stay.
    extras: Vec<Line>,
}

/// Returns `None` for a database without tables of the service's names.
///
/// # Errors
/// [`MigrateError::NotAdoptable`] with every difference, if such tables have another shape.
pub(super) async fn find_adoptable(client: &Client) -> MigrateResult<Option<Adoptable>> {
    let first = shape::expected_adopted(1);
    let found = shape::relevant(shape::read(client).await?, &shape::newest());
    let is_table = |line: &&Line| line.key.starts_with("table ");
    if !first.iter().filter(is_table).any(|table| found.iter().any(|line| line.key == table.key)) {
        return Ok(None);
    }
    let first: Vec<Line> = first.into_iter().filter(|line| line.key != ADOPTION_INDEX.0).collect();
    let (extras, found) = split_extras(found);
    let mut differences = shape::differences(&first, &found, normalize);
    differences.extend(foreign_owners(client, &shape::expected(1)).await?);
    if !differences.is_empty() {
        return Err(MigrateError::NotAdoptable(differences));
    }
    let origin = origin(client).await?.unwrap_or_else(|| "no alembic_version".to_owned());
    Ok(Some(Adoptable { origin, extras }))
}

/// Describes how an adopted database differs from the expected shape.
pub(super) fn differences(found: Vec<Line>, expected: &[Line]) -> Vec<String> {
    let (_, found) = split_extras(found);
    shape::differences(expected, &found, normalize)
}

impl Adoptable {
    /// Describes the data and objects that the adoption keeps.
    pub(super) async fn plan(&self, client: &Client) -> MigrateResult<Vec<String>> {
        let row = client
            .query_one(
                "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts),
                        (SELECT count(*) FROM votes)",
                &[],
            )
            .await?;
        let (users, posts, votes): (i64, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let origin = &self.origin;
        let adopted = if origin.ends_with(REFERENCE_HEAD) {
            format!("adopts the database of the reference service ({origin})")
        } else {
            format!("adopts tables like those of the reference service ({origin})")
        };
        let mut lines = vec![format!(
            "{adopted}: {users} users, {posts} posts and {votes} votes stay as they are"
        )];
        let unusual = count_unusual_emails(client).await?;
        if unusual > 0 {
            lines.push(format!(
                "{unusual} of {users} users have an e-mail that sign-up would refuse or write \
                 otherwise: they log in with the e-mail as stored"
            ));
        }
        for line in &self.extras {
            lines.push(format!("keeps {}: {}", line.key, line.definition));
        }
        Ok(lines)
    }
}

/// Returns how many accounts have an e-mail that is not in its normal form.
async fn count_unusual_emails(client: &Client) -> Result<u64, Error> {
    let rows = client.query_raw("SELECT email::text FROM users", None::<&str>).await?;
    rows.try_fold(0, async |count, row| {
        let is_normal = row.try_get(0).is_ok_and(|stored: &str| {
            Email::parse(stored).is_ok_and(|normal| normal.as_str() == stored)
        });
        Ok(count + u64::from(!is_normal))
    })
    .await
}

/// Describes the content of `alembic_version`. Returns `None` if the table does not exist.
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

/// Splits off the lines that an adopted database may have in addition. An object whose name a
/// migration uses is not among them.
fn split_extras(found: Vec<Line>) -> (Vec<Line>, Vec<Line>) {
    let known = shape::of_all_revisions();
    found
        .into_iter()
        .filter(|line| !line.key.starts_with("sequence "))
        .partition(|line| is_harmless(line) && !known.iter().any(|ours| ours.key == line.key))
}

/// Whether the service's statements work as if the column or the index did not exist.
fn is_harmless(line: &Line) -> bool {
    if line.is_column() {
        let can_be_omitted =
            !line.definition.contains(" not null") || line.definition.contains(" default ");
        return can_be_omitted;
    }
    line.key.starts_with("index ") && !line.definition.starts_with("unique ")
}

/// Converts a line of the reference service's schema to the form that this service expects: texts
/// of any length, integers of any width, and the primary key in either order.
fn normalize(line: &Line) -> Line {
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
