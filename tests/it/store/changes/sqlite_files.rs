//! Copies of an SQLite file that are put back.

use std::path::Path;
use std::sync::Arc;

use post_api::store::sqlite::SqliteStore;
use tempfile::TempDir;

use super::{created, log_since};
use crate::store::fresh_store::FreshStore;
use crate::support::create_sqlite_file;

fn open(path: &Path) -> FreshStore {
    FreshStore::shared(Arc::new(SqliteStore::open(path).unwrap()))
}

/// The rows of the later life have the same numbers.
#[tokio::test]
async fn file_that_is_put_back_begins_an_epoch() {
    let folder = TempDir::new().unwrap();
    let [path, copy] = ["posts.db", "copy.db"].map(|name| folder.path().join(name));
    create_sqlite_file(&path).await;
    let store = open(&path);
    let ada = store.sign_up("ada").await;
    let first = store.listen_to_changes().await.unwrap();
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
