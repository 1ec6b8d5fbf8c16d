//! Reads of the caller's own votes in SQLite. Votes on posts that the caller cannot see are left
//! out. Not here: changes of votes, see `votes.rs`.

use rusqlite::{Connection, Row, params};

use super::callers::find_caller;
use super::row::{is_open, json_array};
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::vote::{CastVote, Direction, VotePage};
use crate::store::Result;
use crate::store::page_limits::MAX_VOTES_READ;

statements! {
    FIND_VOTES = concat!("SELECT votes.post_id, votes.dir > 0
               FROM json_each(?2) AS asked
               CROSS JOIN votes ON votes.post_id = asked.value AND votes.user_id = ?1
               CROSS JOIN posts
                 ON posts.id = votes.post_id
                AND ", is_open!("posts.owner_id"), "
                AND (posts.published OR posts.owner_id = ?1 OR ?3)");
    LIST_VOTES = concat!("SELECT votes.post_id, votes.dir > 0, posts.id IS NOT NULL
               FROM votes INDEXED BY votes_user
               LEFT JOIN posts
                 ON posts.id = votes.post_id
                AND ", is_open!("posts.owner_id"), "
                AND (posts.published OR posts.owner_id = ?1 OR ?3)
              WHERE votes.user_id = ?1 AND votes.post_id < ?2
              ORDER BY votes.post_id DESC LIMIT ?4");
}

/// Reads the votes on these posts.
pub(super) fn find_votes(
    database: &Connection,
    caller: Caller,
    mut posts: Vec<PostId>,
) -> Result<Vec<CastVote>> {
    // The statement keeps this order.
    posts.sort_unstable_by(|one, other| other.cmp(one));
    posts.dedup();
    let posts = json_array(posts.iter().map(|post| post.0));
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    let mut statement = database.prepare_cached(FIND_VOTES)?;
    let votes = statement.query_map(params![caller.user_id.0, posts, sees_drafts], read_vote)?;
    let votes = votes.collect::<rusqlite::Result<Vec<_>>>()?;
    // Checked last: an account that exists now existed when the votes were read.
    find_caller(database, caller)?;
    Ok(votes)
}

pub(super) fn list_votes(
    database: &Connection,
    caller: Caller,
    limit: u32,
    before: Option<PostId>,
) -> Result<VotePage> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let below = before.map_or(i64::MAX, |post| post.0);
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    let mut page = VotePage { votes: Vec::new(), next: before };
    let mut statement = database.prepare_cached(LIST_VOTES)?;
    let mut rows =
        statement.query(params![caller.user_id.0, below, sees_drafts, MAX_VOTES_READ])?;
    let mut read = 0;
    while page.votes.len() < limit {
        let Some(row) = rows.next()? else {
            if read < MAX_VOTES_READ {
                page.next = None;
            }
            break;
        };
        let vote = read_vote(row)?;
        if row.get(2)? {
            page.votes.push(vote);
        }
        page.next = Some(vote.post_id);
        read += 1;
    }
    // Checked last: an account that exists now existed when the list was read.
    find_caller(database, caller)?;
    Ok(page)
}

fn read_vote(row: &Row<'_>) -> rusqlite::Result<CastVote> {
    Ok(CastVote { post_id: PostId(row.get(0)?), direction: Direction::of(row.get(1)?) })
}
