//! Votes in SQLite. Not here: reads of the caller's own votes, see `own_votes.rs`; the
//! counts, which triggers update, see `migrations/`.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::callers::caller_params;
use super::own_votes::{find_votes, list_votes};
use super::row::is_open;
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::vote::{CastVote, Direction, Vote, VotePage};
use crate::store::{Result, StoreError, VoteOutcome, VoteStore};

statements! {
    ADD_VOTE = "INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)";
    CHANGE_VOTE = "UPDATE votes SET dir = ?3 WHERE post_id = ?1 AND user_id = ?2";
    WITHDRAW_VOTE = "DELETE FROM votes WHERE post_id = ?1 AND user_id = ?2";
    FIND_VOTE = concat!("SELECT posts.id, votes.dir
               FROM users
               LEFT JOIN posts
                 ON posts.id = ?1
                AND ", is_open!("posts.owner_id"), "
                AND (posts.published OR posts.owner_id = users.id OR ?3)
               LEFT JOIN votes
                 ON votes.post_id = posts.id AND votes.user_id = users.id
              WHERE users.id = ?2 AND users.tokens_valid_from BETWEEN ?4 AND ?5
                AND users.disabled_at IS NULL");
}

#[async_trait]
impl VoteStore for SqliteStore {
    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome> {
        self.writer.run(move |database| cast_vote(database, caller, vote)).await
    }

    async fn find_votes(&self, caller: Caller, posts: Vec<PostId>) -> Result<Vec<CastVote>> {
        self.list_readers.run(move |database| find_votes(database, caller, posts)).await
    }

    async fn list_votes(
        &self,
        caller: Caller,
        limit: u32,
        before: Option<PostId>,
    ) -> Result<VotePage> {
        self.list_readers.run(move |database| list_votes(database, caller, limit, before)).await
    }
}

pub(super) fn cast_vote(database: &Connection, caller: Caller, vote: Vote) -> Result<VoteOutcome> {
    let cast = match find_vote(database, caller, vote)? {
        FoundVote::NoSuchPost => return Ok(VoteOutcome::NoSuchPost),
        FoundVote::Vote(cast) => cast,
    };
    let (post, voter) = (vote.post_id.0, caller.user_id.0);
    match (cast, vote.direction.map(Direction::value)) {
        (None, None) => Ok(VoteOutcome::NotCast),
        (None, Some(wanted)) => {
            database.prepare_cached(ADD_VOTE)?.execute([post, voter, wanted])?;
            Ok(VoteOutcome::Added)
        }
        (Some(cast), Some(wanted)) if cast == wanted => Ok(VoteOutcome::AlreadyCast),
        (Some(_), Some(wanted)) => {
            database.prepare_cached(CHANGE_VOTE)?.execute([post, voter, wanted])?;
            Ok(VoteOutcome::Changed)
        }
        (Some(_), None) => {
            database.prepare_cached(WITHDRAW_VOTE)?.execute([post, voter])?;
            Ok(VoteOutcome::Withdrawn)
        }
    }
}

enum FoundVote {
    /// The post does not exist, or is a draft that is hidden from the caller.
    NoSuchPost,
    /// The caller's current vote (1 or -1), if there is one.
    Vote(Option<i64>),
}

fn find_vote(database: &Connection, caller: Caller, vote: Vote) -> Result<FoundVote> {
    let [voter, earliest, latest] = caller_params(caller);
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    let (post, cast) = database
        .prepare_cached(FIND_VOTE)?
        .query_row(params![vote.post_id.0, voter, sees_drafts, earliest, latest], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })
        .optional()?
        .ok_or(StoreError::CallerRejected)?;
    Ok(post.map_or(FoundVote::NoSuchPost, |_| FoundVote::Vote(cast)))
}
