//! Copies of an SQLite file that are put back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use post_api::domain::caller::Caller;
use post_api::domain::change::Listening;
use post_api::domain::post::PostId;
use post_api::store::VoteOutcome;
use post_api::store::sqlite::SqliteStore;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use tempfile::TempDir;

use super::{created, log_since};
use crate::store::fresh_store::{FreshStore, vote};
use crate::support::create_sqlite_file;

fn open(path: &Path) -> FreshStore {
    FreshStore::shared(Arc::new(SqliteStore::open(path).unwrap()))
}

/// Returns a store on a new file, with an account and a listener.
async fn listening(path: &Path) -> (FreshStore, Caller, Listening) {
    create_sqlite_file(path).await;
    let store = open(path);
    let ada = store.sign_up("ada").await;
    let listening = store.listen_to_changes().await.unwrap();
    (store, ada, listening)
}

/// The rows of the later life have the same numbers.
#[tokio::test]
async fn file_that_is_put_back_begins_an_epoch() {
    let folder = TempDir::new().unwrap();
    let [path, copy] = ["posts.db", "copy.db"].map(|name| folder.path().join(name));
    let (store, ada, first) = listening(&path).await;
    store.write(ada, "kept").await;
    store.close().await;
    std::fs::copy(&path, &copy).unwrap();
    let mut epochs = vec![first.epoch];
    for _ in 0..3 {
        let store = open(&path);
        let start = store.listen_to_changes().await.unwrap();
        assert!(!epochs.contains(&start.epoch), "{epochs:?}");
        let post = store.write(ada, "of this life").await.id;
        assert_eq!(log_since(&store, start.start).await, [created(post)]);
        assert_eq!(store.listen_to_changes().await.unwrap().epoch, start.epoch);
        epochs.push(start.epoch);
        store.close().await;
        std::fs::copy(&copy, &path).unwrap();
    }
}

/// The copy has the epoch of the running process, and its writes have the numbers of lost ones.
#[tokio::test]
async fn copy_that_is_put_back_under_a_running_process_begins_an_epoch() {
    let folder = TempDir::new().unwrap();
    let [path, copy] = ["posts.db", "copy.db"].map(|name| folder.path().join(name));
    let (store, ada, first) = listening(&path).await;
    store.write(ada, "kept").await;
    copy_database(&path, &copy);
    for lost in ["lost", "lost too"] {
        store.write(ada, lost).await;
    }
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, first.epoch);
    copy_database(&copy, &path);
    // A transaction that changes nothing sees the copy first.
    assert_eq!(store.cast_vote(ada, vote(PostId(999), 1)).await.unwrap(), VoteOutcome::NoSuchPost);
    // More writes than the copy lacks.
    let after = store.write(ada, "of this life").await.id;
    for later in ["later", "later still"] {
        store.write(ada, later).await;
    }
    assert_ne!(store.read_changes(first.start, 9).await.unwrap().epoch, first.epoch);
    let second = store.listen_to_changes().await.unwrap();
    assert_eq!(log_since(&store, second.start).await, []);
    store.delete_post(ada, after, None).await.unwrap();
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, second.epoch);
}

/// Commands write through connections of their own.
#[tokio::test]
async fn commit_of_another_process_ends_no_epoch() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("posts.db");
    let (store, ada, first) = listening(&path).await;
    let other = open(&path);
    for post in ["first", "second"] {
        other.write(ada, post).await;
        store.write(ada, post).await;
    }
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, first.epoch);
}

/// Replaces the pages of the target in one transaction, as `.restore` of the shell does.
fn copy_database(from: &Path, to: &Path) {
    let source = Connection::open(from).unwrap();
    let mut target = Connection::open(to).unwrap();
    let backup = Backup::new(&source, &mut target).unwrap();
    backup.run_to_completion(i32::MAX, Duration::ZERO, None).unwrap();
}
