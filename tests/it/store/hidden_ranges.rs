//! Lists pass over a range of IDs that has posts of closed accounts only, with the same result.
//!
//! Whether a store knows a range shows in a post to which another program gives an ID in the range:
//! the post is not listed until the account is deleted. The search for the range may come between
//! the insert and the list of such a probe, and then the range begins above the probe. So each
//! probe has a larger ID than the one before.

use std::sync::Mutex;

use post_api::domain::caller::Caller;
use post_api::domain::page::{Page, PostScope};
use post_api::store::postgres::connect;

use super::deletions::{delete, finish, numbers, write_many};
use super::fresh_store::{FreshStore, postgres, search, seeing_drafts};

const PROBE: &str = "probe";

/// A reference from another table keeps a post, and with it the account.
const KEPT_TABLE: &str = "CREATE TABLE IF NOT EXISTS kept (post_id bigint REFERENCES posts (id))";

/// A closed account, and a reader of the lists.
struct Case<'a> {
    store: &'a FreshStore,
    reader: Caller,
    /// IDs in the range that no post has, the largest first.
    free: Mutex<Vec<i64>>,
}

impl<'a> Case<'a> {
    /// Frees IDs in the lower half of the account's newest 3,000 numbered posts, and closes it. Its
    /// newest post is kept.
    async fn close(store: &'a FreshStore, reader: Caller, account: Caller) -> Self {
        let owner = account.user_id.0;
        let newest = format!("SELECT max(id) FROM posts WHERE owner_id = {owner}");
        let numbered = store.number(&format!("{newest} AND title <> 'hers'"));
        let free: Vec<i64> = (750..1450).map(|step| numbered - 2 * step).collect();
        let list: Vec<String> = free.iter().map(i64::to_string).collect();
        store.execute(&format!(
            "DELETE FROM posts WHERE owner_id = {owner} AND id IN ({})",
            list.join(", ")
        ));
        store.execute(&format!("{KEPT_TABLE}; INSERT INTO kept {newest}"));
        delete(store, account).await;
        Self { store, reader, free: Mutex::new(free) }
    }

    /// Gives a new post the next free ID in the range.
    fn insert_probe(&self) {
        let id = self.free.lock().unwrap().pop().expect("the range is not known");
        self.store.execute(&format!(
            "INSERT INTO posts (id, title, content, created_at, owner_id)
             SELECT {id}, '{PROBE}', 'text', created_at, id FROM users WHERE id = {}",
            self.reader.user_id.0
        ));
    }

    async fn lists_probe(&self, store: &FreshStore) -> bool {
        let titles = store.titles(self.reader, Page::default()).await;
        titles.iter().any(|title| title == PROBE)
    }

    /// Returns whether this store passes over the range.
    async fn is_known_to(&self, store: &FreshStore) -> bool {
        self.insert_probe();
        let is_listed = self.lists_probe(store).await;
        self.store.execute(&format!("DELETE FROM posts WHERE title = '{PROBE}'"));
        !is_listed
    }

    async fn wait_until_known_to(&self, store: &FreshStore) {
        while !self.is_known_to(store).await {
            store.check_ready().await.unwrap();
        }
    }
}

/// Writes a post and a draft.
async fn write_both(store: &FreshStore, author: Caller, title: &str) {
    store.draft(author, &format!("{title} draft")).await;
    store.write(author, title).await;
}

/// Compares every kind of list with the titles that it has, newest first.
async fn assert_lists(store: &FreshStore, reader: Caller, titles: &[&str]) {
    for caller in [reader, seeing_drafts(reader)] {
        let is_seen = |title: &&&str| caller != reader || !title.ends_with("draft");
        for text in ["", "1", "100"] {
            let is_found = |title: &&&str| title.contains(text);
            let all: Vec<&str> = titles.iter().filter(is_seen).filter(is_found).copied().collect();
            for limit in [None, Some(2), Some(100)] {
                for skip in 0..=all.len() {
                    let page = Page { limit, skip: u64::try_from(skip).unwrap(), ..search(text) };
                    let length = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
                    let expected: Vec<&str> = all.iter().skip(skip).take(length).copied().collect();
                    assert_eq!(store.titles(caller, page.clone()).await, expected, "{page:?}");
                }
            }
        }
        let own = Page { scope: PostScope::OwnDrafts, ..Page::default() };
        let drafts: Vec<&&str> = titles.iter().filter(|title| title.ends_with("draft")).collect();
        assert_eq!(store.titles(caller, own).await.iter().collect::<Vec<_>>(), drafts);
    }
}

pub async fn lists_around_a_hidden_range_are_complete(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_both(store, bob, "oldest 100").await;
    write_many(store, ada, 1500, 1);
    write_both(store, bob, "between 100").await;
    write_many(store, ada, 3000, 1);
    let hers = ada.user_id.0;
    store.execute(&format!("UPDATE posts SET published = (id % 2 = 0) WHERE owner_id = {hers}"));
    write_both(store, bob, "newer 100").await;
    let mut titles = [
        "newer 100",
        "newer 100 draft",
        "between 100",
        "between 100 draft",
        "oldest 100",
        "oldest 100 draft",
    ]
    .to_vec();
    let case = Case::close(store, bob, ada).await;
    assert_lists(store, bob, &titles).await;
    case.wait_until_known_to(store).await;
    assert_lists(store, bob, &titles).await;
    write_both(store, bob, "newest 1").await;
    titles.splice(0..0, ["newest 1", "newest 1 draft"]);
    assert_lists(store, bob, &titles).await;
    store.execute("DELETE FROM posts WHERE title IN ('between 100', 'newer 100')");
    titles.retain(|title| !["between 100", "newer 100"].contains(title));
    assert_lists(store, bob, &titles).await;
}

/// Nothing is older than the range, nothing is newer.
pub async fn list_of_hidden_posts_only_is_empty(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_many(store, ada, 3000, 1);
    let case = Case::close(store, bob, ada).await;
    case.wait_until_known_to(store).await;
    assert_lists(store, bob, &[]).await;
    store.write(bob, "new").await;
    assert_lists(store, bob, &["new"]).await;
}

/// The account has newer posts between those of others, as after an import.
pub async fn range_is_found_below_newer_posts_of_the_account(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    store.write(bob, "older 1").await;
    write_many(store, ada, 3000, 1);
    for _ in 0..20 {
        store.write(bob, "his").await;
        store.write(ada, "hers").await;
    }
    let case = Case::close(store, bob, ada).await;
    let titles = [vec!["his"; 20], vec!["older 1"]].concat();
    case.wait_until_known_to(store).await;
    assert_lists(store, bob, &titles).await;
}

pub async fn closed_accounts_share_a_range(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let eve = store.sign_up("eve").await;
    store.write(bob, "older").await;
    // Neither has two posts in a row.
    store.execute(&format!(
        "INSERT INTO posts (title, content, created_at, owner_id)
         {} SELECT CAST(n AS text), 'text', created_at, id
              FROM numbers CROSS JOIN users WHERE users.id IN ({}, {}) ORDER BY n, users.id",
        numbers(2000),
        ada.user_id.0,
        eve.user_id.0
    ));
    store.write(bob, "newer").await;
    store.execute("CREATE TABLE also_kept (post_id bigint REFERENCES posts (id))");
    store.execute(&format!(
        "INSERT INTO also_kept SELECT max(id) FROM posts WHERE owner_id = {}",
        ada.user_id.0
    ));
    delete(store, ada).await;
    let case = Case::close(store, bob, eve).await;
    case.wait_until_known_to(store).await;
    assert_lists(store, bob, &["newer", "older"]).await;
}

/// As after the restore of a backup into the running service.
pub async fn range_is_forgotten_when_the_account_is_deleted(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_many(store, ada, 3000, 1);
    let case = Case::close(store, bob, ada).await;
    case.wait_until_known_to(store).await;
    case.insert_probe();
    assert!(!case.lists_probe(store).await);
    finish(store).await;
    while !case.lists_probe(store).await {
        store.check_ready().await.unwrap();
    }
}

pub async fn other_process_finds_the_range(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_many(store, ada, 3000, 1);
    store.write(bob, "newer").await;
    let case = Case::close(store, bob, ada).await;
    let another = store.open_another();
    case.wait_until_known_to(&another).await;
    assert_lists(&another, bob, &["newer"]).await;
}

/// Enough for a search that waits for nothing.
const ROUNDS: usize = 40;

/// The transaction has got an ID between those of the account, and commits after the account is
/// closed.
#[tokio::test]
async fn post_of_an_open_transaction_is_listed_after_its_commit() {
    let store = postgres().await;
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    // The open transaction would block it.
    store.execute(KEPT_TABLE);
    // The range below the late post is the wider one, even if the search meets a probe in it.
    write_many(&store, ada, 2000, 1);
    let client = connect(&store.postgres_address()).await.unwrap();
    let insert = format!(
        "BEGIN; SAVEPOINT late;
         INSERT INTO posts (title, content, owner_id) VALUES ('undone', 'text', {0});
         ROLLBACK TO late;
         INSERT INTO posts (title, content, owner_id) VALUES ('late', 'text', {0})",
        bob.user_id.0
    );
    client.batch_execute(&insert).await.unwrap();
    write_many(&store, ada, 998, 1);
    store.write(bob, "newer").await;
    let case = Case::close(&store, bob, ada).await;
    for _ in 0..ROUNDS {
        assert!(!case.is_known_to(&store).await, "known before the transaction has ended");
    }
    client.batch_execute("COMMIT").await.unwrap();
    case.wait_until_known_to(&store).await;
    assert_lists(&store, bob, &["newer", "late"]).await;
}

/// The cache gives a session IDs for transactions that begin later.
#[tokio::test]
async fn sequence_that_keeps_ids_for_sessions_makes_no_range() {
    let store = postgres().await;
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    store.execute("ALTER SEQUENCE posts_id_seq CACHE 2");
    write_many(&store, ada, 3000, 1);
    let case = Case::close(&store, bob, ada).await;
    for _ in 0..ROUNDS {
        assert!(!case.is_known_to(&store).await);
    }
}
