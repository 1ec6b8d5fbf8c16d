//! Reads of the caller's own votes in PostgreSQL. Votes on posts that the caller cannot see are left
//! out. Not here: changes of votes, see `votes.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::callers::{ValidFromTimes, find_caller};
use super::column::column;
use super::connection::Value;
use super::error::reading_failed;
use super::pool::Pool;
use super::row::is_open;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::domain::vote::{CastVote, Direction, VotePage};
use crate::store::Result;
use crate::store::batch::{Batch, BatchError};
use crate::store::page_limits::MAX_VOTES_READ;

/// One statement reads callers and votes, so both are from the same snapshot.
macro_rules! find_votes {
    ($votes:literal, $posts:expr) => {
        concat!(
            "SELECT asked.user_id, votes.post_id::bigint, votes.dir > 0, NULL
           FROM unnest($1, $2, $3) AS asked (user_id, post_id, sees_drafts) ",
            $votes,
            $posts,
            "
          UNION ALL
         SELECT id::bigint, NULL, NULL, tokens_valid_from FROM users
          WHERE id = ANY($4) AND disabled_at IS NULL"
        )
    };
}

macro_rules! is_visible {
    () => {
        concat!(
            "posts.id = votes.post_id AND ",
            is_open!("posts.owner_id"),
            " AND (posts.published OR posts.owner_id = asked.user_id OR asked.sees_drafts)"
        )
    };
}

statements! {
    // The limits keep PostgreSQL from making joins of the subqueries, see `statement.rs`.
    FIND_VOTES(INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, INT8_ARRAY) = find_votes!(
        "CROSS JOIN LATERAL (SELECT post_id, dir FROM votes
                               WHERE post_id = asked.post_id AND user_id = asked.user_id
                               LIMIT 1) AS votes",
        concat!("
          CROSS JOIN LATERAL (SELECT FROM posts WHERE ", is_visible!(), " LIMIT 1) AS visible")
    ), find_votes!(
        "JOIN votes ON votes.post_id = asked.post_id AND votes.user_id = asked.user_id",
        concat!(" JOIN posts ON ", is_visible!(),
            " AND votes.post_id = ANY($2) AND posts.id = ANY($2)")
    );
    LIST_VOTES(INT8, INT8, BOOL, INT8) = concat!(
        "SELECT votes.post_id::bigint, votes.dir > 0, posts.id IS NOT NULL
           FROM votes
           LEFT JOIN posts
             ON posts.id = votes.post_id
            AND ", is_open!("posts.owner_id"), "
            AND (posts.published OR posts.owner_id = $1 OR $3)
          WHERE votes.user_id = $1 AND votes.post_id < $2
          ORDER BY votes.post_id DESC LIMIT $4"
    );
}

/// The batch that reads votes on given posts.
pub(super) struct FindVotes(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for FindVotes {
    type Request = (Caller, Vec<PostId>);
    type Answer = Vec<CastVote>;

    async fn run(
        &self,
        requests: &[&(Caller, Vec<PostId>)],
    ) -> std::result::Result<Vec<Result<Vec<CastVote>>>, BatchError> {
        let found = read_votes(&self.0, requests).await.map_err(reading_failed)?;
        Ok(requests.iter().map(|(caller, posts)| found.of(*caller, posts)).collect())
    }
}

/// The votes and callers that one statement found for several requests.
#[derive(Default)]
struct FoundVotes {
    votes: HashMap<(UserId, PostId), Direction>,
    callers: ValidFromTimes,
}

impl FoundVotes {
    fn of(&self, caller: Caller, posts: &[PostId]) -> Result<Vec<CastVote>> {
        self.callers.check(caller)?;
        let mut posts = posts.to_vec();
        posts.sort_unstable_by(|one, other| other.cmp(one));
        posts.dedup();
        let votes = posts.into_iter().filter_map(|post_id| {
            let direction = *self.votes.get(&(caller.user_id, post_id))?;
            Some(CastVote { post_id, direction })
        });
        Ok(votes.collect())
    }
}

async fn read_votes(pool: &Pool, requests: &[&(Caller, Vec<PostId>)]) -> Result<FoundVotes> {
    let callers: Vec<i64> = requests.iter().map(|(caller, _)| caller.user_id.0).collect();
    let (mut users, mut asked, mut sees_drafts) = (Vec::new(), Vec::new(), Vec::new());
    for (caller, posts) in requests {
        for post in posts {
            users.push(caller.user_id.0);
            asked.push(post.0);
            sees_drafts.push(caller.draft_visibility == DraftVisibility::Visible);
        }
    }
    let rows = pool.query(&FIND_VOTES, &[&users, &asked, &sees_drafts, &callers]).await?;
    let mut found = FoundVotes::default();
    for row in &rows {
        let user = UserId(column(row, 0)?);
        match column::<Option<i64>>(row, 1)? {
            Some(post) => {
                found.votes.insert((user, PostId(post)), Direction::of(column(row, 2)?));
            }
            None => found.callers.insert(user, column(row, 3)),
        }
    }
    Ok(found)
}

/// Reads only as many votes as the page needs, if the caller can see all of their posts. Otherwise
/// a second statement reads the others.
pub(super) async fn list_votes(
    pool: &Pool,
    caller: Caller,
    limit: u32,
    before: Option<PostId>,
) -> Result<VotePage> {
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut page = VotePage { votes: Vec::new(), next: before };
    let mut unread = i64::from(MAX_VOTES_READ);
    let mut wanted = i64::try_from(limit).unwrap_or(unread).min(unread);
    while page.votes.len() < limit && unread > 0 {
        let below = page.next.map_or(i64::MAX, |post| post.0);
        let values: [Value<'_>; 4] = [&caller.user_id.0, &below, &sees_drafts, &wanted];
        let rows = pool.query(&LIST_VOTES, &values).await?;
        add_votes(&mut page, limit, &rows)?;
        if rows.len() < usize::try_from(wanted).unwrap_or(0) && page.votes.len() < limit {
            page.next = None;
            break;
        }
        unread -= wanted;
        wanted = unread;
    }
    // Checked last: an account that exists now existed when the list was read.
    find_caller(pool, caller).await?;
    Ok(page)
}

/// Adds the votes up to the limit, and moves the position to the last vote that was read for them.
fn add_votes(page: &mut VotePage, limit: usize, rows: &[Row]) -> Result<()> {
    for row in rows {
        if page.votes.len() == limit {
            break;
        }
        let post_id = PostId(column(row, 0)?);
        if column(row, 2)? {
            page.votes.push(CastVote { post_id, direction: Direction::of(column(row, 1)?) });
        }
        page.next = Some(post_id);
    }
    Ok(())
}
