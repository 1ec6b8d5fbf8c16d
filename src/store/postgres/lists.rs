//! Lists of posts in PostgreSQL. Not here: their statements, see `list_key.rs`, and searches, see
//! `search.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::PostgresStore;
use super::callers::{FIND_TOKENS_VALID_FROM, ValidFromTimes};
use super::connection::{Connection, Value};
use super::error::reading_failed;
use super::list_key::ListKey;
use super::pool::{MAX_CONNECTIONS, Pool};
use super::search::search_posts;
use crate::domain::caller::Reader;
use crate::domain::page::Page;
use crate::store::batch::{Batch, BatchError};
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::list_memory::ListMemory;
use crate::store::page_limits::MAX_SHORT_SKIP;
use crate::store::{PostList, Result, StoreError};

/// Maximum number of lists that are read concurrently. Each can have
/// [`crate::store::page_limits::PAGE_BYTES`].
const MAX_CONCURRENT_LISTS: usize = 8;

/// If the lists of a batch exceed this many bytes of text, the batch reads no further lists. The
/// other requests fail with [`StoreError::Overloaded`]. This needs concurrent requests for many
/// different long lists.
const BATCH_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct ListPosts {
    pub(super) pool: Arc<Pool>,
    pub(super) hidden: watch::Receiver<Option<HiddenRange>>,
}

#[async_trait]
impl Batch for ListPosts {
    type Request = (Reader, Page);
    type Answer = PostList;

    async fn run(
        &self,
        requests: &[&(Reader, Page)],
    ) -> std::result::Result<Vec<Result<PostList>>, BatchError> {
        let hidden = *self.hidden.borrow();
        read_lists(&self.pool, hidden, requests).await.map_err(reading_failed)
    }
}

/// Chooses how a list is read. A list that may take long is not batched, so that no other request
/// waits for it. Its future is boxed: otherwise each short list would move its size through memory.
pub(super) async fn list_posts(
    store: &PostgresStore,
    reader: Reader,
    page: Page,
) -> Result<PostList> {
    if page.limit == Some(0) || page.entries().is_empty() {
        return store.check_reader(reader).await.map(|()| Vec::new().into());
    }
    let hidden = store.deletions.hidden_range();
    if page.is_scanned() {
        let search = search_posts(&store.long_work, hidden, reader, &page);
        return Box::pin(store.read_long(search)).await;
    }
    if page.limit.is_some() && page.skip <= MAX_SHORT_SKIP {
        return store.lists.submit((reader, page)).await;
    }
    let read = async {
        let mut lists = read_lists(&store.long_work, hidden, &[&(reader, page)]).await?;
        lists.pop().unwrap_or_else(|| Err(StoreError::internal("a list was not read")))
    };
    Box::pin(store.read_long(read)).await
}

/// Reads equal lists once. Retries all of them on another connection if the connection must be
/// replaced.
async fn read_lists(
    pool: &Pool,
    hidden: Option<HiddenRange>,
    requests: &[&(Reader, Page)],
) -> Result<Vec<Result<PostList>>> {
    let mut connections = 1;
    loop {
        let connection = pool.acquire().await?;
        match read_lists_on(&connection, pool.list_memory(), hidden, requests).await {
            Err(_) if connections < MAX_CONNECTIONS && connection.is_outdated() => connections += 1,
            outcome => return outcome,
        }
    }
}

/// The callers are checked last: an account that exists now existed when its list was read.
async fn read_lists_on(
    connection: &Connection,
    memory: &ListMemory,
    hidden: Option<HiddenRange>,
    requests: &[&(Reader, Page)],
) -> Result<Vec<Result<PostList>>> {
    let requested: Vec<ListKey> =
        requests.iter().map(|(reader, page)| ListKey::of(*reader, page, hidden)).collect();
    let mut distinct = requested.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let callers = requests.iter().filter_map(|(reader, _)| reader.user_id());
    let callers: Vec<i64> = callers.map(|caller| caller.0).collect();

    for list in &distinct {
        connection.prepare(list.statement()).await?;
    }
    connection.prepare(&FIND_TOKENS_VALID_FROM).await?;
    let mut chunks = distinct.chunks(MAX_CONCURRENT_LISTS);
    let last = chunks.next_back().unwrap_or_default();
    let mut lists = Vec::new();
    for chunk in chunks {
        lists.extend(read_concurrently(connection, memory, chunk, &lists).await?);
    }
    let callers: [Value<'_>; 1] = [&callers];
    let users = connection.query(&FIND_TOKENS_VALID_FROM, &callers);
    let (rest, users) = tokio::join!(read_concurrently(connection, memory, last, &lists), users);
    lists.extend(rest?);
    let valid_from_times = ValidFromTimes::read(&users?)?;

    let answer = |((reader, _), list): (&&(Reader, Page), &ListKey)| {
        valid_from_times.check_reader(*reader)?;
        let index = distinct.binary_search(list).ok();
        index.and_then(|index| lists.get(index).cloned()).ok_or(StoreError::Overloaded)
    };
    Ok(requests.iter().zip(&requested).map(answer).collect())
}

/// Pipelines the statements of all lists. Reads none if the earlier lists exceed [`BATCH_BYTES`].
async fn read_concurrently(
    connection: &Connection,
    memory: &ListMemory,
    lists: &[ListKey],
    earlier: &[PostList],
) -> Result<Vec<PostList>> {
    let bytes: usize = earlier.iter().map(PostList::byte_len).sum();
    if bytes > BATCH_BYTES {
        return Ok(Vec::new());
    }
    try_join_all(lists.iter().map(|list| list.read(connection, memory))).await
}
