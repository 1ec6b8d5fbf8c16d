//! Concurrent writes with idempotency keys.

use std::collections::HashSet;

use post_api::domain::caller::Caller;
use post_api::store::{ChangePost, Once, VoteOutcome};

use super::fresh_store::{FreshStore, noon};
use super::idempotency_keys::{delete_once, done, replace_once, sign_up_at, vote_once, write_once};
use crate::support::run_concurrently;

fn count_of<T: PartialEq>(outcomes: &[T], wanted: &T) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}

/// The requests go to two stores on the database, as to two processes.
pub async fn concurrent_requests_with_one_key_write_once(store: &FreshStore) {
    let other = store.open_another();
    let stores: Vec<&FreshStore> = (0..64).map(|number| [store, &other][number % 2]).collect();
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let writes = stores.iter().map(|store| write_once(store, ada, "post", "create"));
    let outcomes = run_concurrently(writes).await;
    let post = outcomes.iter().find_map(|once| match once {
        Once::Done(post) => Some(post.clone()),
        _ => None,
    });
    let post = post.unwrap();
    assert_eq!(count_of(&outcomes, &Once::Done(post.clone())), 1);
    assert_eq!(count_of(&outcomes, &Once::Replayed(post.clone())), 63);
    let votes = [(1, VoteOutcome::Added), (-1, VoteOutcome::Changed), (0, VoteOutcome::Withdrawn)];
    for (dir, outcome) in votes {
        let text = format!("vote{dir}");
        let votes = stores.iter().map(|store| vote_once(store, bob, post.id, dir, &text));
        let outcomes = run_concurrently(votes).await;
        assert_eq!(count_of(&outcomes, &Once::Done(outcome)), 1, "{outcome:?}");
        assert_eq!(count_of(&outcomes, &Once::Replayed(outcome)), 63, "{outcome:?}");
    }
    let replaced = stores.iter().map(|store| replace_once(store, ada, post.id, "new", "replace"));
    let replaced = run_concurrently(replaced).await;
    assert_eq!(replaced.iter().filter(|once| matches!(once, Once::Done(_))).count(), 1);
    let deleted = stores.iter().map(|store| delete_once(store, ada, post.id, "delete"));
    let deleted = run_concurrently(deleted).await;
    assert_eq!(count_of(&deleted, &Once::Done(ChangePost::Changed(()))), 1);
    assert_eq!(count_of(&deleted, &Once::Replayed(ChangePost::Changed(()))), 63);
    let created = stores.iter().map(|store| sign_up_at(store, "eve", "k", noon()));
    let created = run_concurrently(created).await;
    assert_eq!(created.iter().filter(|once| matches!(once, Once::Done(_))).count(), 1);
    assert_eq!(created.iter().filter(|once| matches!(once, Once::Replayed(_))).count(), 63);
    assert_eq!(store.count_rows("posts"), 0);
    assert_eq!(store.count_rows("users"), 3);
}

/// Writes with and without keys run at the same time, and each key belongs to its own write.
pub async fn writes_with_and_without_keys_do_not_mix(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let names: Vec<String> = (0..60).map(|number| format!("post {number}")).collect();
    let voters: Vec<Caller> = run_concurrently(
        (0..20).map(|number| async move { store.sign_up(&format!("voter{number}")).await }),
    )
    .await;
    let target = store.write(ada, "target").await.id;
    let writes = names.iter().enumerate().map(async |(number, name)| {
        if number % 2 == 0 {
            let text = format!("k{number}");
            let created = done(write_once(store, ada, name, &text).await);
            assert_eq!(created.title.as_str(), name);
            assert_eq!(write_once(store, ada, name, &text).await, Once::Replayed(created.clone()));
            created
        } else {
            store.write(ada, name).await
        }
    });
    let ballots = voters.iter().enumerate().map(async |(number, voter)| match number % 2 {
        0 => done(vote_once(store, *voter, target, 1, "vote").await),
        _ => store.vote(*voter, target, 1).await,
    });
    let (posts, outcomes) = tokio::join!(run_concurrently(writes), run_concurrently(ballots));
    assert_eq!(count_of(&outcomes, &VoteOutcome::Added), 20);
    assert_eq!(store.count(ada, target).await, 20);
    assert_eq!(posts.iter().map(|post| post.id).collect::<HashSet<_>>().len(), 60);
    for post in posts {
        assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    }
    assert_eq!(store.count_rows("idempotency_keys"), 40);
}

/// One account votes on one post with several keys at the same time.
pub async fn concurrent_votes_with_own_keys_are_counted_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let texts: Vec<String> = (0..30).map(|number| format!("k{number}")).collect();
    let votes = texts.iter().map(|text| vote_once(store, ada, post, 1, text));
    let outcomes = run_concurrently(votes).await;
    assert_eq!(count_of(&outcomes, &Once::Done(VoteOutcome::Added)), 1);
    assert_eq!(count_of(&outcomes, &Once::Done(VoteOutcome::AlreadyCast)), 29);
    assert_eq!(store.count(ada, post).await, 1);
    assert_eq!(store.count_rows("idempotency_keys"), 1);
}
