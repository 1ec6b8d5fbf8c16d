//! Rules that an operator has added to the tables: foreign keys, checks and triggers. A rule that a
//! request violates fails only this request.

use post_api::store::{ChangePost, DeleteUser, Result, StoreError, VoteOutcome};

use super::fresh_store::{FreshStore, content, noon, vote};
use crate::support::run_concurrently;

/// Foreign keys that forbid the deletion of the row that they refer to.
const FORBIDDING: [&str; 3] = ["", "ON DELETE RESTRICT", "DEFERRABLE INITIALLY DEFERRED"];

fn assert_referenced<T: std::fmt::Debug>(outcome: &Result<T>, key: &str) {
    match outcome {
        Err(StoreError::Referenced(source)) => {
            let source = source.to_string();
            assert!(source.to_lowercase().contains("foreign key"), "{key}: {source}");
        }
        outcome => panic!("{key}: {outcome:?}"),
    }
}

pub async fn deletion_of_referenced_post_is_rejected(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for (number, key) in FORBIDDING.into_iter().enumerate() {
        let (kept, free) = (store.write(ada, "kept").await.id, store.write(ada, "free").await.id);
        let table = format!("comments_{number}");
        store.execute(&format!(
            "CREATE TABLE {table} (post_id bigint CONSTRAINT of_post REFERENCES posts (id) {key});
             INSERT INTO {table} VALUES ({})",
            kept.0
        ));
        let deletions = [kept, free].map(|post| store.delete_post(ada, post, None));
        let [of_kept, of_free] = <[_; 2]>::try_from(run_concurrently(deletions).await).unwrap();
        assert_referenced(&of_kept, key);
        assert_eq!(of_free.unwrap(), ChangePost::Changed(()), "{key}");
        assert!(store.read(ada, kept).await.is_some(), "{key}");
        store.execute(&format!("DELETE FROM {table}"));
        assert_eq!(
            store.delete_post(ada, kept, None).await.unwrap(),
            ChangePost::Changed(()),
            "{key}"
        );
    }
}

/// The key can refer to the account or to one of its posts. The account is closed, and the next
/// attempt after the end of the reference deletes it.
pub async fn deletion_of_referenced_user_waits_for_the_reference(store: &FreshStore) {
    let bob = store.sign_up("bob").await;
    for (number, key) in FORBIDDING.into_iter().enumerate() {
        for table in ["users", "posts"] {
            let ada = store.sign_up(&format!("ada-{table}-{number}")).await;
            let post = store.write(ada, "post").await.id;
            let id = if table == "users" { ada.user_id.0 } else { post.0 };
            let notes = format!("notes_{table}_{number}");
            store.execute(&format!(
                "CREATE TABLE {notes} (id bigint REFERENCES {table} (id) {key});
                 INSERT INTO {notes} VALUES ({id})"
            ));
            let deleted = store.delete_user(ada, ada.user_id).await.unwrap();
            assert_eq!(deleted, DeleteUser::Deleted, "{key}");
            assert_eq!(store.count_rows("account_deletions"), 1, "{key}");
            assert!(store.read(bob, post).await.is_none(), "{key}");
            store.execute(&format!("DELETE FROM {notes}"));
            let _another = store.open_another();
            store.wait_for_deletions().await;
            assert_eq!(store.count_rows("users"), 1, "{key}");
        }
    }
}

/// Neither a vote nor a post that a trigger rejects harms the others of its batch.
pub async fn row_rejected_by_a_trigger_fails_only_itself(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let posts = [store.write(ada, "a").await.id, store.write(ada, "b").await.id];
    store.reject_rows_if("votes", &format!("NEW.user_id = {}", bob.user_id.0));
    store.reject_rows_if("posts", &format!("NEW.owner_id = {}", bob.user_id.0));
    let votes = [(ada, 0), (bob, 0), (ada, 1), (bob, 1)];
    let cast = votes.map(|(voter, post)| store.cast_vote(voter, vote(posts[post], 1)));
    for ((voter, _), outcome) in votes.iter().zip(run_concurrently(cast).await) {
        if *voter == bob {
            assert!(matches!(outcome, Err(StoreError::Internal(_))), "{outcome:?}");
        } else {
            assert_eq!(outcome.unwrap(), VoteOutcome::Added);
        }
    }
    let created = [ada, bob, ada].map(|author| {
        let post = content("new", true);
        store.create_post(author, post, noon())
    });
    let [first, rejected, last] = <[_; 3]>::try_from(run_concurrently(created).await).unwrap();
    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(matches!(rejected, Err(StoreError::Internal(_))), "{rejected:?}");
}
