//! When the log begins and ends, and its epochs.

use post_api::domain::change::ChangePosition;

use super::{changes_since, created, listen, log_since, updated, wait_for};
use crate::store::fresh_store::{FreshStore, content, noon};

pub async fn nothing_is_logged_without_a_listener(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let write = async || {
        let post = store.write(ada, "post").await.id;
        store.vote(ada, post, 1).await;
        store.update_post(ada, post, content("edited", true).into(), None).await.unwrap();
        store.delete_post(ada, post, None).await.unwrap();
        store.change_name(ada, None).await.unwrap();
    };
    write().await;
    store.sign_out(bob, noon()).await.unwrap();
    assert_eq!(store.count_rows("post_changes"), 0);
    let start = listen(store).await;
    assert_eq!(changes_since(store, start).await, []);
    write().await;
    assert_eq!(changes_since(store, start).await.len(), 4);
    let rows = store.count_rows("post_changes");
    store.expire_listening();
    write().await;
    assert_eq!(store.count_rows("post_changes"), rows);
}

pub async fn epoch_lasts_while_a_process_listens(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let first = store.listen_to_changes().await.unwrap();
    let post = store.write(ada, "post").await.id;
    for _ in 0..2 {
        assert_eq!(store.listen_to_changes().await.unwrap().epoch, first.epoch);
    }
    assert_eq!(changes_since(store, first.start).await, [created(post)]);
    assert_eq!(store.read_changes(first.start, 5).await.unwrap().epoch, first.epoch);
    store.expire_listening();
    let second = store.listen_to_changes().await.unwrap();
    assert_ne!(second.epoch, first.epoch);
    assert_eq!(store.read_changes(first.start, 5).await.unwrap().epoch, second.epoch);
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, second.epoch);
    let later = store.write(ada, "later").await.id;
    assert_eq!(changes_since(store, second.start).await, [created(later)]);
}

/// Either the change is logged, or a new epoch begins.
pub async fn change_of_the_clock_loses_no_change(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let mut before = store.listen_to_changes().await.unwrap();
    for (number, moves) in [
        vec![],
        // Forward, and back later or at once.
        vec![-7_000],
        vec![-7_000, 7_000],
        vec![7_000],
        vec![10_000_000, -10_000_000],
        vec![-7_000, 8_000, -1_000],
    ]
    .into_iter()
    .enumerate()
    {
        wait_for(store, before.start).await;
        let mut expected = Vec::new();
        for (step, seconds) in moves.iter().enumerate() {
            store.move_end_of_listening(*seconds);
            let edited = content(&format!("{number} {step}"), true);
            store.update_post(ada, post, edited.into(), None).await.unwrap();
            expected.push(updated(post, true));
        }
        let logged = log_since(store, before.start).await;
        let after = store.listen_to_changes().await.unwrap();
        assert!(after.epoch != before.epoch || logged == expected, "{moves:?}: {logged:?}");
        assert_eq!(after.epoch == before.epoch, moves.is_empty(), "{moves:?}");
        before = after;
    }
}

/// A log whose end is far away would grow while no process reads and shortens it.
pub async fn log_ends_soon_after_the_clock_was_set_back(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    listen(store).await;
    store.move_end_of_listening(10_000_000);
    for number in 0..3 {
        store.write(ada, &format!("post {number}")).await;
    }
    assert_eq!(store.count_rows("post_changes"), 0);
}

/// A client could otherwise continue from there when the log has grown.
pub async fn position_beyond_the_log_is_after_its_end(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let start = listen(store).await;
    for _ in 0..2 {
        let later = ChangePosition {
            transaction: start.transaction + 1_000_000_000 * i64::from(start.transaction > 0),
            number: start.number + 1_000_000_000,
        };
        let part = store.read_changes(later, 5).await.unwrap();
        assert!(part.end < later && part.changes.is_empty(), "{part:?}");
        store.write(ada, "post").await;
    }
}
