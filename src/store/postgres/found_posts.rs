//! Finds single posts in PostgreSQL, many with one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::callers::{ValidFromTimes, find_valid_from_times};
use super::column::column;
use super::error::reading_failed;
use super::pool::Pool;
use super::row::{is_open, read_post};
use super::statement::{Statement, statements};
use crate::domain::caller::{Caller, Reader};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::user::UserId;
use crate::store::batch::{Batch, BatchError};
use crate::store::{Result, StoreError};

statements! {
    // One statement reads callers and posts, so both are from the same snapshot. A join could read all
    // counts, see `statement.rs`. Distributed posts are read alone, so that only the servers are asked
    // that have them.
    FIND_POSTS(INT8_ARRAY, INT8_ARRAY) = concat!(
        "SELECT id::bigint, title, content, published, created_at, owner_id::bigint,
                (SELECT votes FROM vote_counts WHERE post_id = posts.id), TRUE
           FROM posts
          WHERE ", is_open!("owner_id"), " AND id = ANY($1)
          UNION ALL
         SELECT id::bigint, NULL, NULL, NULL, tokens_valid_from, NULL, NULL, FALSE
           FROM users
          WHERE id = ANY($2) AND disabled_at IS NULL"
    ), concat!(
        "SELECT id::bigint, title, content, published, created_at, owner_id::bigint, votes, TRUE
           FROM posts LEFT JOIN vote_counts ON post_id = id
          WHERE ", is_open!("owner_id"), " AND id = ANY($1) AND $2 IS NOT NULL"
    );
}

/// Returns the post, if the caller sees it.
pub(super) async fn find_post(
    pool: &Pool,
    caller: Caller,
    id: PostId,
) -> Result<Option<PostWithVotes>> {
    let reader = Reader::Caller(caller);
    read_posts(pool, &[&(reader, id)]).await?.post(reader, id)
}

pub(super) struct FindPosts(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for FindPosts {
    type Request = (Reader, PostId);
    type Answer = Option<PostWithVotes>;

    async fn run(
        &self,
        requests: &[&(Reader, PostId)],
    ) -> std::result::Result<Vec<Result<Option<PostWithVotes>>>, BatchError> {
        let found = read_posts(&self.0, requests).await.map_err(reading_failed)?;
        Ok(requests.iter().map(|(reader, id)| found.post(*reader, *id)).collect())
    }
}

/// The posts and callers that one statement found for several requests. A post that cannot be read
/// is an error only for the requests for this post.
struct FoundPosts {
    posts: HashMap<PostId, std::result::Result<PostWithVotes, Arc<StoreError>>>,
    callers: ValidFromTimes,
}

impl FoundPosts {
    /// Returns the post, if the reader sees it.
    fn post(&self, reader: Reader, id: PostId) -> Result<Option<PostWithVotes>> {
        self.callers.check_reader(reader)?;
        let found = match self.posts.get(&id) {
            Some(Ok(found)) => found,
            Some(Err(error)) => return Err(StoreError::shared(error)),
            None => return Ok(None),
        };
        let post = &found.post;
        let is_visible = post.published
            || reader.user_id() == Some(post.owner_id)
            || reader.draft_visibility() == DraftVisibility::Visible;
        Ok(is_visible.then(|| found.clone()))
    }
}

async fn read_posts(pool: &Pool, requests: &[&(Reader, PostId)]) -> Result<FoundPosts> {
    let posts = distinct(requests.iter().map(|(_, id)| id.0));
    let callers = requests.iter().filter_map(|(reader, _)| reader.user_id());
    let callers = distinct(callers.map(|caller| caller.0));
    let rows = pool.query(&FIND_POSTS, &[&posts, &callers]).await?;
    // Growing a map hashes all of its keys again.
    let mut found = FoundPosts {
        posts: HashMap::with_capacity(posts.len()),
        callers: ValidFromTimes::with_capacity(callers.len()),
    };
    for row in &rows {
        let id = column(row, 0)?;
        if column(row, 7)? {
            found.posts.insert(PostId(id), read_post(row).map_err(Arc::new));
        } else {
            found.callers.insert(UserId(id), column(row, 4));
        }
    }
    if pool.is_distributed() {
        // Checked last: an account that exists now existed when the posts were read.
        found.callers = find_valid_from_times(pool, &callers).await?;
    }
    Ok(found)
}

fn distinct(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
