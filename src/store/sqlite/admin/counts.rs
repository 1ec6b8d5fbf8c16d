//! Recounts the votes of every post, finds rows without their post or user, and mends both.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::super::commit_id::record_commit;
use crate::store::Result;

/// How many rows one transaction mends. The service writes between two of them.
const BATCH: usize = 200;

/// Posts whose count is wrong: their ID, the stored count and the sum of their votes.
const FIND_WRONG: &str = "
    SELECT posts.id, coalesce(vote_counts.votes, 0), coalesce(summed.votes, 0)
      FROM posts
      LEFT JOIN vote_counts ON vote_counts.post_id = posts.id
      LEFT JOIN (SELECT post_id, sum(dir) AS votes FROM votes GROUP BY post_id) AS summed
        ON summed.post_id = posts.id
     WHERE coalesce(vote_counts.votes, 0) <> coalesce(summed.votes, 0)
     ORDER BY posts.id";

/// The tables whose rows can be orphans: name, statement that finds the two parts of their keys, and
/// statement that deletes one of them. A post is never deleted, as it has content.
const ORPHANS: [(&str, &str, &str); 4] = [
    (
        "votes",
        "SELECT post_id, user_id FROM votes
          WHERE NOT EXISTS (SELECT 1 FROM posts WHERE posts.id = votes.post_id)
             OR NOT EXISTS (SELECT 1 FROM users WHERE users.id = votes.user_id)",
        "DELETE FROM votes WHERE user_id = ?2 AND post_id = ?1
            AND NOT (EXISTS (SELECT 1 FROM posts WHERE posts.id = votes.post_id)
                 AND EXISTS (SELECT 1 FROM users WHERE users.id = votes.user_id))",
    ),
    (
        "vote_counts",
        "SELECT post_id, 0 FROM vote_counts
          WHERE NOT EXISTS (SELECT 1 FROM posts WHERE posts.id = vote_counts.post_id)",
        "DELETE FROM vote_counts WHERE post_id = ?1 AND ?2 = 0
            AND NOT EXISTS (SELECT 1 FROM posts WHERE posts.id = vote_counts.post_id)",
    ),
    (
        "sessions",
        "SELECT id, 0 FROM sessions
          WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id)",
        "DELETE FROM sessions WHERE id = ?1 AND ?2 = 0
            AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id)",
    ),
    (
        "events",
        "SELECT id, 0 FROM events
          WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = events.user_id)",
        "DELETE FROM events WHERE id = ?1 AND ?2 = 0
            AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = events.user_id)",
    ),
];

pub(super) fn find_wrong(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut wrong = find_orphans(database)?;
    wrong.extend(describe_wrong_counts(database)?);
    Ok(wrong)
}

pub(super) fn describe_wrong_counts(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let wrong = find_wrong_counts(database)?.into_iter();
    let describe = |(post, (kept, cast))| {
        format!("post {post}: the count says {kept}, its votes add up to {cast}")
    };
    Ok(wrong.map(describe).collect())
}

fn find_wrong_counts(database: &Connection) -> rusqlite::Result<BTreeMap<i64, (i64, i64)>> {
    database
        .prepare(FIND_WRONG)?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect()
}

/// Finds rows without their post or user. A program that writes with foreign keys off can leave
/// them.
pub(super) fn find_orphans(database: &Connection) -> rusqlite::Result<Vec<String>> {
    database
        .prepare("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2")?
        .query_map([], |row| {
            let (table, parent, rows): (String, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("{rows} of {table} name a row of {parent} that is not there"))
        })?
        .collect()
}

/// Deletes orphans, then mends counts. Describes what changed.
pub(super) fn repair(database: &mut Connection) -> Result<Vec<String>> {
    let mut done = Vec::new();
    for (table, find, delete) in ORPHANS {
        let keys: Vec<(i64, i64)> = database
            .prepare(find)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut deleted = 0;
        for batch in keys.chunks(BATCH) {
            let transaction = begin(database)?;
            for key in batch {
                deleted += transaction.prepare_cached(delete)?.execute(*key)?;
            }
            commit(transaction)?;
        }
        if deleted > 0 {
            done.push(format!("deleted {deleted} of {table} without their post or user"));
        }
    }
    let wrong = find_wrong_counts(database)?;
    let wrong: Vec<(i64, i64)> = wrong.into_iter().map(|(post, (kept, _))| (post, kept)).collect();
    for batch in wrong.chunks(BATCH) {
        let transaction = begin(database)?;
        for (post, kept) in batch {
            if let Some(sum) = mend(&transaction, *post)? {
                done.push(format!("post {post}: the count was {kept}, and is {sum}"));
            }
        }
        commit(transaction)?;
    }
    Ok(done)
}

fn begin(database: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    database.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn commit(transaction: Transaction<'_>) -> Result<()> {
    record_commit(&transaction)?;
    Ok(transaction.commit()?)
}

/// Sets the count of the post to the sum of its votes, and returns it. Returns `None` if the post was
/// deleted, or its count is right by now.
fn mend(transaction: &Transaction<'_>, post: i64) -> rusqlite::Result<Option<i64>> {
    let sum: i64 = transaction
        .prepare_cached("SELECT coalesce(sum(dir), 0) FROM votes WHERE post_id = ?1")?
        .query_row([post], |row| row.get(0))?;
    let changed = transaction
        .prepare_cached(
            "INSERT INTO vote_counts (post_id, votes)
             SELECT id, ?2 FROM posts WHERE id = ?1
             ON CONFLICT (post_id) DO UPDATE SET votes = excluded.votes
                WHERE votes <> excluded.votes",
        )?
        .execute(params![post, sum])?;
    Ok((changed > 0).then_some(sum))
}
