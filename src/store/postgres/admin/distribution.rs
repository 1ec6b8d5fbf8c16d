//! Distributes the tables over the servers of Citus, and brings them back.
//!
//! Posts, votes and counts are sharded by the post, and shards with the same posts are on the same
//! server. Every server has all rows of the other tables, so that foreign keys work. A log of changes
//! needs one order of all transactions, which several servers do not have: its triggers are dropped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, Error, Transaction};

use super::lock::{self, Retry};
use super::shape::Line;
use super::{NEW_EPOCH, PostgresAdmin, script};
use crate::store::migrate::{MigrateError, MigrateResult, POSTGRES, revision_at};
use crate::store::postgres::schema::IS_DISTRIBUTED;

/// Tables that every server has.
const REFERENCE_TABLES: [&str; 6] =
    ["users", "sessions", "events", "account_deletions", "idempotency_keys", "installation"];

/// The first names of the triggers that write the log of changes.
const LOG_TRIGGERS: &str = "changes_logged_";

/// The major versions of Citus that were tried.
const VERSIONS: std::ops::RangeInclusive<i32> = 13..=14;

const FIND_VERSION: &str = "SELECT extversion, split_part(extversion, '.', 1)::integer
   FROM pg_extension WHERE extname = 'citus'";

/// The keys that shards share must have one type.
const FIND_OTHER_TYPES: &str = "
    SELECT format('%s.%s is %s', attrelid::regclass, attname, format_type(atttypid, atttypmod))
      FROM (VALUES ('posts', 'id'), ('votes', 'post_id'), ('vote_counts', 'post_id')) AS key (name, field)
      JOIN pg_attribute ON attrelid = to_regclass(name) AND attname = field
     WHERE atttypid <> 'bigint'::regtype
     ORDER BY 1";

/// The shards of posts, and the servers that have them.
const COUNT_SHARDS: &str = "
    SELECT count(DISTINCT shardid), count(DISTINCT groupid)
      FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
     WHERE logicalrelid = to_regclass('posts')";

/// Citus runs the steps of one transaction on one connection to each server.
const SETTINGS: &str = "
    SET LOCAL client_min_messages = 'warning';
    SET LOCAL citus.enable_local_reference_table_foreign_keys = 'off';
    SET LOCAL citus.multi_shard_modify_mode = 'sequential';";

/// The functions of the triggers of votes.
const FUNCTIONS: &str = include_str!("distributed_counts.sql");

/// The triggers count per shard, so what Citus warns of does not happen: none reads another shard.
const ALLOW_TRIGGERS: &str = "SET LOCAL citus.enable_unsafe_triggers = 'on'";

impl PostgresAdmin {
    /// Distributes the tables, in one transaction that locks them. Returns `false` if they are
    /// distributed already.
    ///
    /// # Errors
    /// [`MigrateError::NotDistributable`] if the database or the server does not fit.
    pub async fn distribute(&mut self, shards: u32) -> MigrateResult<bool> {
        self.locked(async |admin| {
            admin.refuse_to_distribute().await?;
            if is_distributed(&admin.client).await? {
                return Ok(false);
            }
            let retry = Retry::within(admin.lock_timeouts);
            while let Err(error) = try_to_distribute(&mut admin.client, shards).await {
                retry.after(&admin.client, error).await?;
            }
            Ok(true)
        })
        .await
    }

    /// Brings all rows back to this server, in one transaction. Returns `false` if the tables are not
    /// distributed.
    ///
    /// # Errors
    /// If a server does not answer, or if the tables stay in use.
    pub async fn undistribute(&mut self) -> MigrateResult<bool> {
        self.locked(async |admin| {
            if !is_distributed(&admin.client).await? {
                return Ok(false);
            }
            let retry = Retry::within(admin.lock_timeouts);
            while let Err(error) = try_to_undistribute(&mut admin.client).await {
                retry.after(&admin.client, error).await?;
            }
            Ok(true)
        })
        .await
    }

    async fn locked<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> MigrateResult<T>,
    ) -> MigrateResult<T> {
        if !self.has_session {
            return Err(MigrateError::NoSession);
        }
        lock::take(&self.client, self.lock_timeouts.advisory).await?;
        let outcome = work(self).await;
        let released = lock::release(&self.client).await;
        let outcome = outcome?;
        released.map(|()| outcome)
    }

    async fn refuse_to_distribute(&mut self) -> MigrateResult<()> {
        let refuse = |reason: String| Err(MigrateError::NotDistributable(reason));
        let status = self.inspect().await?;
        if status.applied < POSTGRES.len() || status.history.unfinished.is_some() {
            let at = revision_at(self.migrations, status.applied);
            return refuse(format!("the database is at {at}; run `post-api db upgrade` first"));
        }
        let Some(row) = self.client.query_opt(FIND_VERSION, &[]).await? else {
            return refuse(
                "the database lacks the extension citus; have a superuser run CREATE EXTENSION \
                 citus on every server"
                    .to_owned(),
            );
        };
        let (version, major): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
        if !VERSIONS.contains(&major) {
            let (oldest, newest) = (VERSIONS.start(), VERSIONS.end());
            return refuse(format!("Citus is {version}; install a version {oldest} or {newest}"));
        }
        let rows = self.client.query(FIND_OTHER_TYPES, &[]).await?;
        let types = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        if !types.is_empty() {
            let types = types.join(", ");
            return refuse(format!("{types}; change these columns to bigint first"));
        }
        Ok(())
    }

    /// Describes the distribution, if there is one.
    pub(super) async fn describe_distribution(&self) -> Result<Option<String>, Error> {
        if !is_distributed(&self.client).await? {
            return Ok(None);
        }
        let row = self.client.query_one(COUNT_SHARDS, &[]).await?;
        let (shards, servers): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Some(format!(
            "Citus has distributed the posts over {shards} shards on {servers} servers; there are \
             no streams of changes"
        )))
    }
}

/// Whether Citus has distributed the tables.
pub(super) async fn is_distributed(client: &Client) -> Result<bool, Error> {
    client.query_one(IS_DISTRIBUTED.sql, &[]).await?.try_get(0)
}

/// Returns the shape of distributed tables.
pub(super) fn distributed_shape(lines: Vec<Line>) -> Vec<Line> {
    let functions = script::statements(FUNCTIONS);
    let is_log = |line: &Line| {
        line.key.strip_prefix("trigger ").is_some_and(|name| name.starts_with(LOG_TRIGGERS))
    };
    let adapt = |line: Line| {
        let name = line.key.strip_prefix("function ");
        let function = functions.iter().find(|sql| name.is_some() && name == name_of(sql));
        let body = function.and_then(|sql| sql.split("$$").nth(1));
        match (body, line.definition.split_once(' ')) {
            (Some(body), Some((_, rest))) => {
                let hash = Sha256::digest(body).iter().fold(String::new(), |mut hash, byte| {
                    // Writing to a String does not fail.
                    let _ = write!(hash, "{byte:02x}");
                    hash
                });
                Line { definition: format!("{hash} {rest}"), ..line }
            }
            _ => line,
        }
    };
    lines.into_iter().filter(|line| !is_log(line)).map(adapt).collect()
}

/// Returns the name of the function that the statement makes, with its arguments.
fn name_of(sql: &str) -> Option<&str> {
    let (_, definition) = sql.split_once("CREATE OR REPLACE FUNCTION ")?;
    definition.split(" RETURNS").next()
}

/// Returns the newest statement of the migrations for each of the functions, in any order.
fn plain_functions() -> Vec<String> {
    let distributed = script::statements(FUNCTIONS);
    let mut newest = BTreeMap::new();
    for statement in POSTGRES.iter().flat_map(|migration| script::statements(migration.up)) {
        let name = name_of(&statement).map(str::to_owned);
        if let Some(name) = name
            && distributed.iter().any(|sql| name_of(sql) == Some(&name))
        {
            newest.insert(name, statement);
        }
    }
    newest.into_values().collect()
}

async fn try_to_distribute(client: &mut Client, shards: u32) -> Result<(), Error> {
    let triggers = triggers();
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    transaction.batch_execute(&format!("SET LOCAL citus.shard_count = {shards}")).await?;
    for Trigger { name, table, .. } in &triggers {
        transaction.batch_execute(&format!("DROP TRIGGER IF EXISTS {name} ON {table}")).await?;
    }
    for table in REFERENCE_TABLES {
        call(&transaction, &format!("create_reference_table('{table}')")).await?;
    }
    call(&transaction, "create_distributed_table('posts', 'id', colocate_with => 'none')").await?;
    for table in ["votes", "vote_counts"] {
        let arguments = format!("'{table}', 'post_id', colocate_with => 'posts'");
        call(&transaction, &format!("create_distributed_table({arguments})")).await?;
    }
    // The copies of the rows on this server. The first call empties all tables with foreign keys to
    // users. Later, the trigger of votes would delete the counts.
    for table in ["users", "installation"] {
        let function = "truncate_local_data_after_distributing_table";
        call(&transaction, &format!("{function}('{table}')")).await?;
    }
    transaction.batch_execute(FUNCTIONS).await?;
    call(&transaction, "create_distributed_function('is_shard_of_votes(oid)')").await?;
    transaction.batch_execute(ALLOW_TRIGGERS).await?;
    for trigger in triggers.iter().filter(|trigger| !trigger.name.starts_with(LOG_TRIGGERS)) {
        transaction.batch_execute(&trigger.sql).await?;
    }
    transaction.commit().await
}

async fn try_to_undistribute(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SETTINGS).await?;
    transaction.batch_execute(ALLOW_TRIGGERS).await?;
    // All tables with foreign keys to posts or users follow.
    call(&transaction, "undistribute_table('posts', cascade_via_foreign_keys => true)").await?;
    call(&transaction, "undistribute_table('installation')").await?;
    for function in plain_functions() {
        transaction.batch_execute(&function).await?;
    }
    transaction.batch_execute("DROP FUNCTION is_shard_of_votes(oid)").await?;
    for trigger in triggers() {
        transaction.batch_execute(&trigger.sql).await?;
    }
    transaction.batch_execute(NEW_EPOCH).await?;
    transaction.commit().await
}

async fn call(transaction: &Transaction<'_>, function: &str) -> Result<(), Error> {
    transaction.batch_execute(&format!("SELECT {function}")).await
}

/// A trigger that a migration makes.
struct Trigger {
    name: String,
    table: String,
    sql: String,
}

/// Returns the triggers after all migrations. None of them was ever dropped.
fn triggers() -> Vec<Trigger> {
    const CREATE: &str = "CREATE OR REPLACE TRIGGER ";
    let mut triggers: Vec<Trigger> = Vec::new();
    for statement in POSTGRES.iter().flat_map(|migration| script::statements(migration.up)) {
        let Some((_, definition)) = statement.split_once(CREATE) else { continue };
        let mut words = definition.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let table = words.skip_while(|word| *word != "ON").nth(1).unwrap_or_default().to_owned();
        triggers.retain(|known| known.name != name || known.table != table);
        triggers.push(Trigger { name, table, sql: format!("{CREATE}{definition}") });
    }
    triggers
}

#[cfg(test)]
mod tests {
    use super::{plain_functions, triggers};
    use crate::store::migrate::POSTGRES_SHAPES;

    #[test]
    fn triggers_are_those_of_the_newest_shape() {
        let mut found: Vec<String> = triggers()
            .iter()
            .map(|trigger| format!("trigger {} on {}", trigger.name, trigger.table))
            .collect();
        found.sort();
        let shape = POSTGRES_SHAPES.last().unwrap();
        let lines = shape.lines().filter(|line| line.starts_with("trigger "));
        let expected: Vec<&str> = lines.map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_function_that_counts_votes_is_restored() {
        let functions = plain_functions();
        assert_eq!(functions.len(), 4, "{functions:?}");
        assert!(
            functions.iter().all(|sql| sql.contains("change_until_seq") || sql.contains("epoch"))
        );
    }
}
