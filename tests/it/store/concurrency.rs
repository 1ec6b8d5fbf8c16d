//! Concurrent callers, and callers that disconnect before their response.

use std::collections::HashSet;

use post_api::domain::caller::Caller;
use post_api::domain::page::Page;
use post_api::domain::post::PostId;
use post_api::domain::user::NewUser;
use post_api::store::{ChangePost, CreateUser, DeleteUser, StoreError, VoteOutcome};

use super::fresh_store::{
    FreshStore, assert_caller_rejected, content, email, hash, new_user, noon, vote,
};
use crate::support::{poll_once, run_concurrently};

const MANY: usize = 50;

pub async fn concurrent_sign_ups_with_one_email_succeed_once(store: &FreshStore) {
    let sign_up = |number: usize| {
        let password_hash = hash(&number.to_string());
        store.create_user(NewUser { password_hash, ..new_user("ada") })
    };
    let outcomes = run_concurrently((0..MANY).map(sign_up)).await;
    let mut created = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        if let CreateUser::Created(user) = outcome.unwrap() {
            created.push((user.id, hash(&number.to_string())));
        }
    }
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    assert_eq!(created, [(found.user_id, found.password_hash)]);
}

pub async fn concurrent_equal_votes_are_added_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let outcomes = run_concurrently((0..MANY).map(|_| store.vote(ada, post, 1))).await;
    assert_eq!(count_of(&outcomes, VoteOutcome::Added), 1);
    assert_eq!(count_of(&outcomes, VoteOutcome::AlreadyCast), MANY - 1);
    assert_eq!(store.count(ada, post).await, 1);
}

pub async fn concurrent_opposite_votes_leave_at_most_one(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let directions = [1, -1, 0, 1, -1];
    run_concurrently((0..MANY).map(|number| store.vote(ada, post, directions[number % 5]))).await;
    let count = store.count(ada, post).await;
    let expected = if count == 0 { VoteOutcome::NotCast } else { VoteOutcome::Withdrawn };
    assert!((-1..=1).contains(&count), "{count}");
    assert_eq!(store.vote(ada, post, 0).await, expected);
    assert_eq!(store.count(ada, post).await, 0);
}

pub async fn concurrent_votes_of_many_users_add_up(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let posts = [store.write(ada, "first").await.id, store.write(ada, "second").await.id];
    let voters = sign_up_many(store).await;
    let ballots = voters.iter().flat_map(|voter| posts.map(|post| (*voter, post)));
    let outcomes = run_concurrently(ballots.map(|(voter, post)| store.vote(voter, post, 1))).await;
    assert_eq!(count_of(&outcomes, VoteOutcome::Added), 2 * MANY);
    let expected = i64::try_from(MANY).unwrap();
    for post in posts {
        assert_eq!(store.count(ada, post).await, expected);
    }
    run_concurrently(voters.iter().map(|voter| store.vote(*voter, posts[0], -1))).await;
    assert_eq!(store.count(ada, posts[0]).await, -expected);
    run_concurrently(voters.iter().map(|voter| store.delete_user(*voter, voter.user_id))).await;
    for post in posts {
        assert_eq!(store.count(ada, post).await, 0);
    }
}

pub async fn concurrent_posts_get_distinct_ids(store: &FreshStore) {
    let authors = sign_up_many(store).await;
    let posts = run_concurrently(authors.iter().map(|author| store.write(*author, "post"))).await;
    let numbers: HashSet<PostId> = posts.iter().map(|post| post.id).collect();
    assert_eq!(numbers.len(), MANY);
    for (author, post) in authors.iter().zip(&posts) {
        assert_eq!(post.owner_id, author.user_id);
        assert_eq!(
            store.read(*author, post.id).await.as_ref().map(|found| &found.post),
            Some(post)
        );
    }
}

pub async fn vote_concurrent_with_deletion_of_its_post_is_consistent(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for round in 0..MANY {
        let post = store.write(ada, "post").await.id;
        let (voted, deleted) = if round % 2 == 0 {
            tokio::join!(store.cast_vote(bob, vote(post, 1)), store.delete_post(ada, post, None))
        } else {
            let (deleted, voted) = tokio::join!(
                store.delete_post(ada, post, None),
                store.cast_vote(bob, vote(post, 1))
            );
            (voted, deleted)
        };
        assert_eq!(deleted.unwrap(), ChangePost::Changed(()));
        assert!(matches!(voted.unwrap(), VoteOutcome::Added | VoteOutcome::NoSuchPost));
        assert_eq!(store.read(ada, post).await, None);
    }
}

pub async fn vote_concurrent_with_deletion_of_its_user_is_consistent(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    for voter in sign_up_many(store).await {
        let (voted, deleted) = tokio::join!(
            store.cast_vote(voter, vote(post, 1)),
            store.delete_user(voter, voter.user_id)
        );
        assert_eq!(deleted.unwrap(), DeleteUser::Deleted);
        let is_ordered = matches!(voted, Ok(VoteOutcome::Added) | Err(StoreError::CallerRejected));
        assert!(is_ordered, "{voted:?}");
        assert_eq!(store.count(ada, post).await, 0);
    }
}

pub async fn post_concurrent_with_deletion_of_its_author_is_consistent(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for author in sign_up_many(store).await {
        let (deleted, written) = tokio::join!(
            store.delete_user(author, author.user_id),
            store.create_post(author, content("orphan", true), noon())
        );
        assert_eq!(deleted.unwrap(), DeleteUser::Deleted);
        assert!(matches!(written, Ok(_) | Err(StoreError::CallerRejected)), "{written:?}");
    }
    assert!(store.titles(ada, Page::default()).await.is_empty());
}

pub async fn concurrent_deletions_of_one_post_succeed_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let outcomes = run_concurrently((0..MANY).map(|_| store.delete_post(ada, post, None))).await;
    let deleted = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome.as_ref().unwrap(), ChangePost::Changed(())))
        .count();
    assert_eq!(deleted, 1);
}

pub async fn concurrent_deletions_of_one_user_succeed_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let outcomes = run_concurrently((0..MANY).map(|_| store.delete_user(ada, ada.user_id))).await;
    let (deleted, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(deleted.len(), 1);
    refused.into_iter().for_each(assert_caller_rejected);
}

/// Runs with other readers and writers, which make a stale read more likely.
pub async fn read_sees_every_acknowledged_write(store: &FreshStore) {
    let authors = sign_up_many(store).await;
    run_concurrently(authors.iter().map(async |author| {
        let post = store.write(*author, "post").await;
        assert_eq!(store.read(*author, post.id).await.unwrap().post, post);
        store.vote(*author, post.id, 1).await;
        assert_eq!(store.count(*author, post.id).await, 1);
        store.delete_post(*author, post.id, None).await.unwrap();
        assert_eq!(store.read(*author, post.id).await, None);
        store.delete_user(*author, author.user_id).await.unwrap();
        assert_caller_rejected(store.find_caller(*author).await);
    }))
    .await;
}

/// Each user votes again. Whether or not the dropped vote was applied, there is one vote per user.
pub async fn dropped_vote_is_applied_whole_or_not_at_all(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let voters = sign_up_many(store).await;
    for voter in &voters {
        poll_once(store.cast_vote(*voter, vote(post, 1))).await;
    }
    for voter in &voters {
        let outcome = store.vote(*voter, post, 1).await;
        assert!(matches!(outcome, VoteOutcome::Added | VoteOutcome::AlreadyCast));
    }
    assert_eq!(store.count(ada, post).await, i64::try_from(MANY).unwrap());
}

pub async fn dropped_post_is_applied_whole_or_not_at_all(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for number in 0..MANY {
        let new = content(&format!("post {number}"), true);
        poll_once(store.create_post(ada, new, noon())).await;
    }
    let whole = store.write(ada, "whole").await;
    let list = store.list_posts(ada, Page::default()).await.unwrap();
    let titles: HashSet<&str> = list.iter().map(|found| found.post.title.as_str()).collect();
    assert_eq!(titles.len(), list.len());
    assert!(list.iter().any(|found| found.post == whole));
    for found in list.iter() {
        assert_eq!((found.post.content.as_str(), found.votes), ("text", 0));
        let searched =
            store.titles(ada, super::fresh_store::search(found.post.title.as_str())).await;
        assert!(searched.contains(&found.post.title.as_str().to_owned()));
    }
}

pub async fn dropped_sign_up_is_applied_whole_or_not_at_all(store: &FreshStore) {
    let names: Vec<String> = (0..MANY).map(|number| format!("user{number}")).collect();
    for name in &names {
        poll_once(store.create_user(new_user(name))).await;
    }
    for name in &names {
        store.create_user(new_user(name)).await.unwrap();
        let found = store.find_credentials(email(name).into()).await.unwrap().unwrap();
        assert_eq!(store.find_user(found.user_id).await.unwrap().unwrap().email, email(name));
    }
}

pub async fn dropped_deletion_is_applied_whole_or_not_at_all(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let callers = sign_up_many(store).await;
    for caller in &callers {
        store.vote(*caller, post, 1).await;
        store.write(*caller, "theirs").await;
        poll_once(store.delete_user(*caller, caller.user_id)).await;
    }
    for caller in &callers {
        match store.delete_user(*caller, caller.user_id).await {
            Ok(outcome) => assert_eq!(outcome, DeleteUser::Deleted),
            rejected => assert_caller_rejected(rejected),
        }
    }
    store.wait_for_deletions().await;
    assert_eq!(store.count(ada, post).await, 0);
    assert_eq!(store.titles(ada, Page::default()).await, ["post"]);
}

async fn sign_up_many(store: &FreshStore) -> Vec<Caller> {
    let names: Vec<String> = (0..MANY).map(|number| format!("many{number}")).collect();
    run_concurrently(names.iter().map(|name| store.sign_up(name))).await
}

fn count_of(outcomes: &[VoteOutcome], wanted: VoteOutcome) -> usize {
    outcomes.iter().filter(|outcome| **outcome == wanted).count()
}
