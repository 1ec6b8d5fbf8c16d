//! Votes, and the counts that follow every change.

use post_api::domain::page::Page;
use post_api::domain::post::PostId;
use post_api::store::VoteOutcome::{Added, AlreadyCast, Changed, NoSuchPost, NotCast, Withdrawn};

use super::fresh_store::{FreshStore, content, seeing_drafts};
use crate::support::run_concurrently;

pub async fn vote_can_be_cast_changed_and_withdrawn(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    let steps = [
        (0, NotCast, 0),
        (1, Added, 1),
        (1, AlreadyCast, 1),
        (-1, Changed, -1),
        (-1, AlreadyCast, -1),
        (1, Changed, 1),
        (0, Withdrawn, 0),
        (0, NotCast, 0),
        (-1, Added, -1),
        (0, Withdrawn, 0),
    ];
    for (number, (dir, outcome, count)) in steps.into_iter().enumerate() {
        assert_eq!(store.vote(bob, post, dir).await, outcome, "step {number}");
        assert_eq!(store.count(ada, post).await, count, "step {number}");
    }
}

pub async fn votes_of_several_users_add_up(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let (first, second) = (store.write(ada, "first").await.id, store.write(ada, "second").await.id);
    for (number, dir) in [1, 1, -1, 1, -1, 1].into_iter().enumerate() {
        let voter = store.sign_up(&format!("voter{number}")).await;
        assert_eq!(store.vote(voter, first, dir).await, Added);
        assert_eq!(store.vote(voter, second, -1).await, Added);
    }
    assert_eq!(store.vote(ada, first, 1).await, Added);
    assert_eq!(store.count(ada, first).await, 3);
    assert_eq!(store.count(ada, second).await, -6);
}

/// Concurrent votes are cast in the order in which they arrived.
pub async fn concurrent_votes_of_one_user_keep_the_last(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for (votes, outcomes) in [
        (vec![1, -1], vec![Added, Changed]),
        (vec![-1, 1], vec![Added, Changed]),
        (vec![1, 1, -1], vec![Added, AlreadyCast, Changed]),
        (vec![-1, 1, -1, 1], vec![Added, Changed, Changed, Changed]),
    ] {
        let post = store.write(ada, "post").await.id;
        let cast = run_concurrently(votes.iter().map(|dir| store.vote(bob, post, *dir))).await;
        assert_eq!(cast, outcomes, "{votes:?}");
        assert_eq!(store.count(ada, post).await, *votes.last().unwrap(), "{votes:?}");
    }
}

/// Neither votes of other users on the same post nor votes of the same user on other posts change.
pub async fn changed_vote_leaves_other_votes_unchanged(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (first, second) = (store.write(ada, "first").await.id, store.write(ada, "second").await.id);
    for (dir, outcome) in [(-1, Changed), (0, Withdrawn)] {
        for (voter, post) in [(ada, first), (ada, second), (bob, first), (bob, second)] {
            store.vote(voter, post, 1).await;
        }
        assert_eq!(store.vote(bob, first, dir).await, outcome);
        for (voter, post) in [(ada, first), (ada, second), (bob, second)] {
            assert_eq!(store.vote(voter, post, 1).await, AlreadyCast);
        }
        assert_eq!(store.count(ada, first).await, 1 + dir);
        assert_eq!(store.count(ada, second).await, 2);
    }
}

pub async fn vote_on_invisible_post_is_rejected(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let draft = store.draft(ada, "draft").await.id;
    let deleted = store.write(ada, "deleted").await.id;
    store.delete_post(ada, deleted, None).await.unwrap();
    for id in [draft, deleted, PostId(0), PostId(-1), PostId(i64::MAX), PostId(i64::MIN)] {
        for dir in [1, -1, 0] {
            assert_eq!(store.vote(bob, id, dir).await, NoSuchPost, "{id:?}");
        }
    }
    assert_eq!(store.count(ada, draft).await, 0);
    assert_eq!(store.vote(ada, draft, 1).await, Added);
    assert_eq!(store.vote(seeing_drafts(bob), draft, 1).await, Added);
    assert_eq!(store.count(ada, draft).await, 2);
}

pub async fn hidden_post_hides_its_votes_from_others(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    store.vote(bob, post, 1).await;
    store.update_post(ada, post, content("post", false).into(), None).await.unwrap();
    for dir in [1, -1, 0] {
        assert_eq!(store.vote(bob, post, dir).await, NoSuchPost);
    }
    assert_eq!(store.count(ada, post).await, 1);
    store.update_post(ada, post, content("post", true).into(), None).await.unwrap();
    assert_eq!(store.vote(bob, post, 1).await, AlreadyCast);
    assert_eq!(store.vote(bob, post, 0).await, Withdrawn);
}

pub async fn count_follows_deletion_of_voter(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let (up, down) = (store.sign_up("up").await, store.sign_up("down").await);
    let (first, second) = (store.write(ada, "first").await.id, store.write(ada, "second").await.id);
    for id in [first, second] {
        store.vote(up, id, 1).await;
        store.vote(down, id, -1).await;
    }
    store.vote(ada, first, 1).await;
    store.delete_user(down, down.user_id).await.unwrap();
    assert_eq!((store.count(ada, first).await, store.count(ada, second).await), (2, 1));
    store.delete_user(up, up.user_id).await.unwrap();
    assert_eq!((store.count(ada, first).await, store.count(ada, second).await), (1, 0));
}

/// The author's own votes, on their posts and on others', are deleted in the same operation.
pub async fn count_follows_deletion_of_author(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let hers = store.write(ada, "hers").await.id;
    let his = store.write(bob, "his").await.id;
    for voter in [ada, bob] {
        store.vote(voter, hers, 1).await;
        store.vote(voter, his, -1).await;
    }
    store.delete_user(ada, ada.user_id).await.unwrap();
    assert_eq!(store.vote(bob, hers, 0).await, NoSuchPost);
    assert_eq!(store.count(bob, his).await, -1);
    assert_eq!(store.titles(bob, Page::default()).await, ["his"]);
}

pub async fn count_survives_replacement(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    store.vote(bob, post, -1).await;
    for published in [false, true, true] {
        store.update_post(ada, post, content("again", published).into(), None).await.unwrap();
        assert_eq!(store.count(ada, post).await, -1);
    }
}

pub async fn new_post_has_zero_votes(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let old = store.write(ada, "old").await.id;
    store.vote(bob, old, 1).await;
    store.delete_post(ada, old, None).await.unwrap();
    let new = store.write(ada, "new").await.id;
    assert_eq!(store.count(ada, new).await, 0);
    assert_eq!(store.vote(bob, new, 0).await, NotCast);
}
