//! Deletion of accounts: closed at once, then deleted in slices.
//!
//! A table of the operator that refers to a row of the service keeps that row, and so stops a
//! deletion at a known slice.

use post_api::domain::caller::Caller;
use post_api::domain::page::{Page, PostScope};
use post_api::domain::session::NewSession;
use post_api::domain::user::TokensValidFrom;
use post_api::store::{ChangePost, DeleteUser, VoteOutcome};

use super::fresh_store::{FreshStore, content, email, hash, noon, search, seeing_drafts};
use super::users::assert_rejected_everywhere;

/// Numbers from 1, in the SQL of both databases.
pub fn numbers(count: u32) -> String {
    format!(
        "WITH RECURSIVE numbers (n) AS (
             SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}
         )"
    )
}

/// Adds posts whose titles are their numbers, with a content of `length` characters.
pub fn write_many(store: &FreshStore, author: Caller, count: u32, length: u32) {
    let content = "x".repeat(usize::try_from(length).unwrap());
    store.execute(&format!(
        "INSERT INTO posts (title, content, created_at, owner_id)
         {} SELECT CAST(n AS text), '{content}', created_at, id
              FROM numbers JOIN users ON users.id = {} ORDER BY numbers.n",
        numbers(count),
        author.user_id.0
    ));
}

/// Adds accounts that can only vote.
fn sign_up_many(store: &FreshStore, count: u32) {
    store.execute(&format!(
        "INSERT INTO users (email, password, created_at)
         {} SELECT 'voter' || n, 'a hash', created_at
              FROM numbers JOIN users ON users.id = (SELECT min(id) FROM users)",
        numbers(count)
    ));
}

/// Keeps a row of the service with a reference that does not cascade.
fn keep(store: &FreshStore, reference: &str, row: &str) {
    store.execute(&format!("CREATE TABLE kept ({reference}); INSERT INTO kept {row}"));
}

const KEPT_POST: &str = "post_id bigint REFERENCES posts (id)";
const KEPT_VOTE: &str = "post_id bigint, user_id bigint, FOREIGN KEY (post_id, user_id) REFERENCES votes (post_id, user_id)";

pub async fn delete(store: &FreshStore, user: Caller) {
    assert_eq!(store.delete_user(user, user.user_id).await.unwrap(), DeleteUser::Deleted);
}

/// Opens a store that finishes all deletions.
pub async fn finish(store: &FreshStore) {
    store.execute("DROP TABLE kept");
    let _another = store.open_another();
    store.wait_for_deletions().await;
}

fn assert_counts_are_right(store: &FreshStore) {
    let wrong = "vote_counts WHERE votes <> (SELECT coalesce(sum(dir), 0) FROM votes
                                              WHERE votes.post_id = vote_counts.post_id)";
    assert_eq!(store.count_rows(wrong), 0);
}

pub async fn closed_account_is_invisible_before_its_rows_are_deleted(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (hers, draft) = (store.write(ada, "quay").await.id, store.draft(ada, "draft").await.id);
    let his = store.write(bob, "his").await.id;
    store.vote(ada, his, 1).await;
    store.vote(bob, hers, 1).await;
    keep(store, KEPT_POST, &format!("VALUES ({})", hers.0));
    delete(store, ada).await;
    assert_eq!(store.count_rows("posts"), 3);

    let another = store.open_another();
    for store in [store, &another] {
        assert_rejected_everywhere(store, ada, &[ada.user_id, bob.user_id], his).await;
        assert_eq!(store.find_user(ada.user_id).await.unwrap(), None);
        assert!(store.find_credentials(email("ada").into()).await.unwrap().is_none());
        let seeing = seeing_drafts(bob);
        for id in [hers, draft] {
            assert_eq!(store.read(seeing, id).await, None);
            for dir in [1, 0] {
                assert_eq!(store.vote(seeing, id, dir).await, VoteOutcome::NoSuchPost);
            }
            let replaced =
                store.update_post(seeing, id, content("no", true).into(), None).await.unwrap();
            assert_eq!(replaced, ChangePost::NoSuchPost);
            let deleted = store.delete_post(seeing, id, None).await.unwrap();
            assert_eq!(deleted, ChangePost::NoSuchPost);
        }
        for viewer in [bob, seeing] {
            for page in [Page::default(), Page { limit: None, ..Page::default() }] {
                assert_eq!(store.titles(viewer, page).await, ["his"]);
            }
            for text in ["quay", "qu", "draft", "dr"] {
                assert_eq!(store.titles(viewer, search(text)).await, [""; 0], "{text}");
            }
            let drafts = Page { scope: PostScope::OwnDrafts, ..Page::default() };
            assert_eq!(store.titles(viewer, drafts).await, [""; 0]);
        }
        assert_eq!(store.count(bob, his).await, 0);
        let absent = store.delete_user(bob, ada.user_id).await.unwrap();
        assert_eq!(absent, DeleteUser::NoSuchUser);
        store.upgrade_password_hash(ada.user_id, hash("a hash"), hash("no")).await.unwrap();
        assert_eq!(store.create_session(session_of(ada)).await.unwrap(), None);
    }
    let again = store.sign_up("ada").await;
    assert_ne!(again.user_id, ada.user_id);
    finish(store).await;
    assert_eq!(store.titles(seeing_drafts(bob), Page::default()).await, ["his"]);
    assert_eq!((store.count_rows("posts"), store.count_rows("users")), (1, 2));
    store.find_caller(again).await.unwrap();
}

fn session_of(user: Caller) -> NewSession {
    NewSession {
        user_id: user.user_id,
        tokens_valid_from: TokensValidFrom::default(),
        family_hash: [1; 32],
        secret_hash: [2; 32],
        user_agent: String::new(),
        now: noon(),
        expires_at: noon(),
        ends_at: noon(),
    }
}

pub async fn account_with_thousands_of_rows_is_gone_when_answered(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_many(store, ada, 800, 1);
    write_many(store, bob, 2000, 1);
    store.execute(&format!(
        "INSERT INTO votes (post_id, user_id) SELECT id, {} FROM posts",
        ada.user_id.0
    ));
    delete(store, ada).await;
    for (table, rows) in [("account_deletions", 0), ("users", 1), ("posts", 2000), ("votes", 0)] {
        assert_eq!(store.count_rows(table), rows, "{table}");
    }
    assert_counts_are_right(store);
}

/// The other process has only closed the account.
pub async fn deletion_left_by_another_process_is_finished(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (hers, his) = (store.write(ada, "hers").await.id, store.write(bob, "his").await.id);
    store.vote(ada, his, 1).await;
    store.vote(bob, hers, 1).await;
    store.execute(&format!("INSERT INTO account_deletions VALUES ({})", ada.user_id.0));
    let _another = store.open_another();
    store.wait_for_deletions().await;
    assert_eq!(store.find_user(ada.user_id).await.unwrap(), None);
    assert_eq!((store.count_rows("posts"), store.count_rows("votes")), (1, 0));
    assert_eq!(store.count(bob, his).await, 0);
}

/// The oldest post is kept, so all slices but the last one succeed.
pub async fn posts_are_deleted_in_slices_newest_first(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_many(store, ada, 1050, 1);
    keep(store, KEPT_POST, "SELECT min(id) FROM posts");
    delete(store, ada).await;
    assert_eq!(store.count_rows("posts"), 50);
    assert_eq!(store.count_rows("posts WHERE CAST(title AS integer) > 50"), 0);
    finish(store).await;
    assert_eq!(store.count_rows("posts"), 0);
}

/// A slice ends after 4 MiB, here after 8 posts.
pub async fn long_posts_are_deleted_in_small_slices(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_many(store, ada, 20, 512 * 1024);
    keep(store, KEPT_POST, "SELECT min(id) FROM posts");
    delete(store, ada).await;
    assert_eq!(store.count_rows("posts"), 4);
    finish(store).await;
    assert_eq!(store.count_rows("posts"), 0);
}

pub async fn votes_of_the_account_are_deleted_in_slices(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_many(store, bob, 2500, 1);
    store.execute(&format!(
        "INSERT INTO votes (post_id, user_id) SELECT id, {} FROM posts ORDER BY id",
        ada.user_id.0
    ));
    keep(store, KEPT_VOTE, "SELECT max(post_id), max(user_id) FROM votes");
    delete(store, ada).await;
    assert_eq!(store.count_rows("votes"), 500);
    assert_counts_are_right(store);
    finish(store).await;
    assert_eq!((store.count_rows("votes"), store.count_rows("posts")), (0, 2500));
    assert_counts_are_right(store);
}

pub async fn votes_on_one_post_are_deleted_in_slices(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    sign_up_many(store, 2500);
    store.execute(&format!(
        "INSERT INTO votes (post_id, user_id)
         SELECT {}, id FROM users WHERE id <> {} ORDER BY id",
        post.0, ada.user_id.0
    ));
    keep(store, KEPT_VOTE, "SELECT max(post_id), max(user_id) FROM votes");
    delete(store, ada).await;
    assert_eq!((store.count_rows("posts"), store.count_rows("votes")), (1, 500));
    assert_counts_are_right(store);
    finish(store).await;
    let left = ["posts", "votes", "vote_counts"].map(|table| store.count_rows(table));
    assert_eq!((left, store.count_rows("users")), ([0, 0, 0], 2500));
}

pub async fn deletion_that_fails_does_not_delay_another(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let kept = store.write(ada, "kept").await.id;
    store.write(bob, "his").await;
    keep(store, KEPT_POST, &format!("VALUES ({})", kept.0));
    delete(store, ada).await;
    delete(store, bob).await;
    assert_eq!(store.count_rows("posts"), 1);
    assert_eq!(store.count_rows("account_deletions"), 1);
    finish(store).await;
    assert_eq!(store.count_rows("users"), 0);
}

/// More slices than the response waits for, with drafts and votes of every kind.
pub async fn large_account_leaves_no_row_and_right_counts(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    write_many(store, ada, 4000, 10);
    store.execute("UPDATE posts SET published = (id % 3 <> 0)");
    write_many(store, bob, 1500, 10);
    sign_up_many(store, 5);
    store.execute(
        "INSERT INTO votes (post_id, user_id, dir)
         SELECT posts.id, users.id, CASE WHEN (posts.id + users.id) % 4 = 0 THEN -1 ELSE 1 END
           FROM posts JOIN users ON (posts.id * users.id) % 5 = 1",
    );
    let others = format!(
        "votes WHERE user_id <> {0} AND post_id IN (SELECT id FROM posts WHERE owner_id <> {0})",
        ada.user_id.0
    );
    let votes = store.count_rows(&others);
    delete(store, ada).await;
    for page in [Page::default(), search("10"), search("100")] {
        let found = store.list_posts(bob, page).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|found| found.post.owner_id == bob.user_id));
    }
    store.wait_for_deletions().await;
    assert_eq!((store.count_rows("posts"), store.count_rows("users")), (1500, 6));
    assert_eq!(store.count_rows("votes"), votes);
    assert_counts_are_right(store);
}
