//! Writes with an idempotency key: each happens once, and a retry gets the outcome of then.

use jiff::{SignedDuration, Timestamp};
use post_api::domain::caller::Caller;
use post_api::domain::idempotency_key::{Fingerprint, IdempotencyKey};
use post_api::domain::page::Page;
use post_api::domain::post::{Post, PostId, PostWithVotes};
use post_api::domain::user::NewUser;
use post_api::store::{ChangePost, CreateUser, Once, Result, StoreError, VoteOutcome};

use super::fresh_store::{
    FreshStore, assert_caller_rejected, content, email, new_user, noon, vote,
};
use crate::support::run_concurrently;

fn hours(hours: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(hours)
}

/// Returns the key of a request that is known by its fingerprint.
pub fn key(text: &str, request: &str) -> IdempotencyKey {
    let digest = IdempotencyKey::parse(text).unwrap();
    IdempotencyKey { digest, fingerprint: Fingerprint::of(request, &[]) }
}

/// Writes a post with the key at this time. The title is what the request asks for.
async fn write_at(
    store: &FreshStore,
    author: Caller,
    title: &str,
    text: &str,
    now: Timestamp,
) -> Result<Once<Post>> {
    store.create_post_once(author, content(title, true), key(text, title), now).await
}

pub async fn write_once(store: &FreshStore, author: Caller, title: &str, text: &str) -> Once<Post> {
    write_at(store, author, title, text, noon()).await.unwrap()
}

pub async fn vote_once(
    store: &FreshStore,
    voter: Caller,
    post: PostId,
    dir: i64,
    text: &str,
) -> Once<VoteOutcome> {
    let key = key(text, &format!("vote {dir} on {post:?}"));
    store.cast_vote_once(voter, vote(post, dir), key, noon()).await.unwrap()
}

pub async fn replace_once(
    store: &FreshStore,
    author: Caller,
    post: PostId,
    title: &str,
    text: &str,
) -> Once<ChangePost<PostWithVotes>> {
    let (content, key) = (content(title, true), key(text, &format!("{title} {post:?}")));
    store.update_post_once(author, post, content.into(), None, key, hours(1)).await.unwrap()
}

pub async fn delete_once(
    store: &FreshStore,
    author: Caller,
    post: PostId,
    text: &str,
) -> Once<ChangePost<()>> {
    let key = key(text, &format!("delete {post:?}"));
    store.delete_post_once(author, post, None, key, noon()).await.unwrap()
}

pub async fn sign_up_at(
    store: &FreshStore,
    name: &str,
    text: &str,
    created_at: Timestamp,
) -> Once<CreateUser> {
    let user = NewUser { created_at, ..new_user(name) };
    store.create_user_once(user, key(text, name)).await.unwrap()
}

pub fn done<T: std::fmt::Debug>(once: Once<T>) -> T {
    match once {
        Once::Done(outcome) => outcome,
        other => panic!("not executed: {other:?}"),
    }
}

pub async fn post_with_a_key_is_created_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = done(write_once(store, ada, "first", "k").await);
    assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    for now in [noon(), hours(23)] {
        let again = write_at(store, ada, "first", "k", now).await.unwrap();
        assert_eq!(again, Once::Replayed(post.clone()), "the time is that of then");
    }
    assert_eq!(write_once(store, ada, "second", "k").await, Once::KeyReused);
    let other = done(write_once(store, ada, "first", "another").await);
    assert_ne!(other.id, post.id);
    assert_eq!(store.count_rows("posts"), 2);
    // The reply is that of then, also after the post was changed or deleted.
    store.update_post(ada, post.id, content("changed", false).into(), None).await.unwrap();
    assert_eq!(write_once(store, ada, "first", "k").await, Once::Replayed(post.clone()));
    store.delete_post(ada, post.id, None).await.unwrap();
    assert_eq!(write_once(store, ada, "first", "k").await, Once::Replayed(post));
}

pub async fn vote_with_a_key_is_cast_once(store: &FreshStore) {
    use VoteOutcome::{Added, Changed, Withdrawn};
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    let steps = [(1, "up", Added), (-1, "down", Changed), (0, "none", Withdrawn)];
    for (dir, text, outcome) in steps {
        assert_eq!(vote_once(store, bob, post, dir, text).await, Once::Done(outcome));
        assert_eq!(vote_once(store, bob, post, dir, text).await, Once::Replayed(outcome));
        assert_eq!(store.count(ada, post).await, dir);
    }
    // The vote stays withdrawn.
    for (dir, text, outcome) in steps {
        assert_eq!(vote_once(store, bob, post, dir, text).await, Once::Replayed(outcome));
        assert_eq!(vote_once(store, bob, post, 1 - dir, text).await, Once::KeyReused);
    }
    assert_eq!(store.count(ada, post).await, 0);
    assert_eq!(vote_once(store, bob, post, 1, "new").await, Once::Done(Added));
    assert_eq!(store.count(ada, post).await, 1);
}

pub async fn post_with_a_key_is_replaced_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "first").await;
    let Once::Done(ChangePost::Changed(replaced)) =
        replace_once(store, ada, post.id, "second", "k").await
    else {
        panic!("not replaced");
    };
    assert_eq!(store.read(ada, post.id).await.unwrap(), replaced);
    assert_eq!(replaced.post.created_at, post.created_at);
    store.update_post(ada, post.id, content("third", true).into(), None).await.unwrap();
    let again = replace_once(store, ada, post.id, "second", "k").await;
    assert_eq!(again, Once::Replayed(ChangePost::Changed(replaced)));
    assert_eq!(replace_once(store, ada, post.id, "other", "k").await, Once::KeyReused);
    assert_eq!(store.titles(ada, Page::default()).await, ["third"]);
}

pub async fn post_with_a_key_is_deleted_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let [post, other] = [store.write(ada, "post").await.id, store.write(ada, "other").await.id];
    let deleted = ChangePost::Changed(());
    assert_eq!(delete_once(store, ada, post, "k").await, Once::Done(deleted.clone()));
    assert_eq!(delete_once(store, ada, post, "k").await, Once::Replayed(deleted));
    assert_eq!(delete_once(store, ada, other, "k").await, Once::KeyReused);
    assert_eq!(delete_once(store, ada, post, "another").await, Once::Done(ChangePost::NoSuchPost));
    assert_eq!(store.titles(ada, Page::default()).await, ["other"]);
}

pub async fn account_with_a_key_is_created_once(store: &FreshStore) {
    let CreateUser::Created(ada) = done(sign_up_at(store, "ada", "k", noon()).await) else {
        panic!("the e-mail is taken");
    };
    let again = sign_up_at(store, "ada", "k", hours(23)).await;
    assert_eq!(again, Once::Replayed(CreateUser::Created(ada.clone())));
    assert_eq!(store.find_user(ada.id).await.unwrap(), Some(ada.clone()));
    for (text, now) in [("another", noon()), ("k", hours(24))] {
        let refused = sign_up_at(store, "ada", text, now).await;
        assert_eq!(refused, Once::Done(CreateUser::EmailTaken), "{text}");
    }
    // The key belongs to the account that it made.
    let CreateUser::Created(bob) = done(sign_up_at(store, "bob", "k", noon()).await) else {
        panic!("the e-mail is taken");
    };
    assert_ne!(bob.id, ada.id);
    let other = key("k", "another request");
    let reused = store.create_user_once(new_user("bob"), other).await.unwrap();
    assert_eq!(reused, Once::Done(CreateUser::EmailTaken));
    assert_eq!(store.count_rows("users"), 2);
}

/// A refusal changed nothing, so the request is executed when it is repeated.
pub async fn refused_write_keeps_no_key(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    let missing = PostId(post.0 + 1);
    let refusals = [
        (vote_once(store, bob, post, 0, "k").await, VoteOutcome::NotCast),
        (vote_once(store, bob, missing, 1, "k").await, VoteOutcome::NoSuchPost),
    ];
    for (outcome, expected) in refusals {
        assert_eq!(outcome, Once::Done(expected));
    }
    store.vote(bob, post, 1).await;
    let refused = vote_once(store, bob, post, 1, "k").await;
    assert_eq!(refused, Once::Done(VoteOutcome::AlreadyCast));
    for (id, refusal) in [(post, ChangePost::NotOwner), (missing, ChangePost::NoSuchPost)] {
        assert_eq!(delete_once(store, bob, id, "k").await, Once::Done(refusal));
        let replaced = replace_once(store, bob, id, "title", "k").await;
        assert!(matches!(replaced, Once::Done(ChangePost::NotOwner | ChangePost::NoSuchPost)));
    }
    store.sign_up("eve").await;
    let taken = sign_up_at(store, "eve", "k", noon()).await;
    assert_eq!(taken, Once::Done(CreateUser::EmailTaken));
    assert_eq!(store.count_rows("idempotency_keys"), 0);
    let withdrawn = vote_once(store, bob, post, 0, "k").await;
    assert_eq!(withdrawn, Once::Done(VoteOutcome::Withdrawn));
}

pub async fn accounts_can_use_the_same_key(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let posts = [ada, bob].map(|author| write_once(store, author, "post", "k"));
    let posts: Vec<Post> = run_concurrently(posts).await.into_iter().map(done).collect();
    assert_eq!([posts[0].owner_id, posts[1].owner_id], [ada.user_id, bob.user_id]);
    for (author, post) in [ada, bob].into_iter().zip(posts) {
        assert_eq!(write_once(store, author, "post", "k").await, Once::Replayed(post));
    }
}

pub async fn key_is_good_for_one_operation(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = done(write_once(store, ada, "post", "k").await);
    assert_eq!(vote_once(store, ada, post.id, 1, "k").await, Once::KeyReused);
    assert_eq!(replace_once(store, ada, post.id, "title", "k").await, Once::KeyReused);
    assert_eq!(delete_once(store, ada, post.id, "k").await, Once::KeyReused);
    assert_eq!(store.count(ada, post.id).await, 0);
    assert_eq!(store.titles(ada, Page::default()).await, ["post"]);
}

pub async fn key_expires_after_a_day(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let first = done(write_once(store, ada, "post", "k").await);
    let microsecond = SignedDuration::from_micros(1);
    let replayed = write_at(store, ada, "post", "k", hours(24) - microsecond).await.unwrap();
    assert_eq!(replayed, Once::Replayed(first.clone()));
    // The same key is then as good as new, also for another request.
    let second = done(write_at(store, ada, "other", "k", hours(24)).await.unwrap());
    assert_ne!(first.id, second.id);
    let replayed = write_at(store, ada, "other", "k", hours(47)).await.unwrap();
    assert_eq!(replayed, Once::Replayed(second));
    let reused = write_at(store, ada, "post", "k", hours(47)).await.unwrap();
    assert_eq!(reused, Once::KeyReused);
    assert_eq!(store.count_rows("idempotency_keys"), 1);
}

/// Each write deletes a few expired keys, so that they do not fill the disk.
pub async fn expired_keys_are_deleted(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let texts: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    let writes = texts.iter().map(|text| write_once(store, ada, "post", text));
    run_concurrently(writes).await;
    assert_eq!(store.count_rows("idempotency_keys"), 40);
    let post = store.write(ada, "post").await.id;
    let dirs = [1, -1, 1, -1, 1];
    for (number, dir) in dirs.into_iter().enumerate() {
        let key = key(&format!("vote{number}"), "vote");
        let cast = store.cast_vote_once(ada, vote(post, dir), key, hours(24)).await.unwrap();
        assert!(matches!(cast, Once::Done(_)), "{cast:?}");
        write_at(store, ada, "post", &format!("post{number}"), hours(24)).await.unwrap();
    }
    assert_eq!(store.count_rows("idempotency_keys"), 10);
}

pub async fn rejected_caller_gets_no_replay(store: &FreshStore) {
    let (ada, gone) = (store.sign_up("ada").await, store.deleted_caller().await);
    let post = done(write_once(store, ada, "post", "k").await).id;
    vote_once(store, ada, post, 1, "vote").await;
    assert_caller_rejected(write_at(store, gone, "post", "k", noon()).await);
    let vote = vote(post, 1);
    let (new, used) = (key("k", "new"), key("vote", &format!("vote 1 on {post:?}")));
    assert_caller_rejected(store.cast_vote_once(gone, vote, new, noon()).await);
    assert_caller_rejected(store.delete_post_once(gone, post, None, new, noon()).await);
    let change = content("title", true);
    assert_caller_rejected(
        store.update_post_once(gone, post, change.into(), None, new, noon()).await,
    );
    store.sign_out(ada, hours(1)).await.unwrap();
    assert_caller_rejected(write_at(store, ada, "post", "k", noon()).await);
    assert_caller_rejected(store.cast_vote_once(ada, vote, used, noon()).await);
}

/// The number of keys is more than one slice of the deletion deletes.
pub async fn deleting_user_deletes_its_keys(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let texts: Vec<String> = (0..600).map(|number| format!("k{number}")).collect();
    run_concurrently(texts.iter().map(|text| write_once(store, ada, "post", text))).await;
    write_once(store, bob, "post", "k").await;
    assert_eq!(store.count_rows("idempotency_keys"), 601);
    store.delete_user(ada, ada.user_id).await.unwrap();
    store.wait_for_deletions().await;
    assert_eq!(store.count_rows("idempotency_keys"), 1);
}

/// A key that cannot be kept undoes its write.
pub async fn write_and_key_are_kept_together(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await;
    store.reject_rows("idempotency_keys");
    let failed = [
        write_at(store, ada, "new", "a", noon()).await.map(|_| ()),
        store.cast_vote_once(ada, vote(post.id, 1), key("b", ""), noon()).await.map(|_| ()),
        store.delete_post_once(ada, post.id, None, key("c", ""), noon()).await.map(|_| ()),
        store
            .update_post_once(ada, post.id, content("new", true).into(), None, key("d", ""), noon())
            .await
            .map(|_| ()),
        store.create_user_once(new_user("eve"), key("e", "")).await.map(|_| ()),
    ];
    for outcome in failed {
        assert!(matches!(outcome, Err(StoreError::Internal(_))), "{outcome:?}");
    }
    assert_eq!(store.titles(ada, Page::default()).await, ["post"]);
    assert_eq!(store.count(ada, post.id).await, 0);
    assert_eq!(store.count_rows("users"), 1);
    assert!(store.find_credentials(email("eve").into()).await.unwrap().is_none());
}

pub async fn key_of_a_rejected_row_harms_no_other(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    store.reject_rows_if("votes", &format!("NEW.user_id = {}", bob.user_id.0));
    store.reject_rows_if("posts", &format!("NEW.owner_id = {}", bob.user_id.0));
    let authors = [ada, bob, ada, bob, ada];
    let texts = ["k0", "k1", "k2", "k3", "k4"];
    let writes = authors.iter().zip(texts);
    let writes = writes.map(|(author, text)| write_at(store, *author, "new", text, noon()));
    for (author, outcome) in authors.iter().zip(run_concurrently(writes).await) {
        assert_eq!(matches!(outcome, Ok(Once::Done(_))), *author == ada, "{outcome:?}");
    }
    let votes =
        [ada, bob].map(|voter| store.cast_vote_once(voter, vote(post, 1), key("v", ""), noon()));
    let [of_ada, of_bob] = <[_; 2]>::try_from(run_concurrently(votes).await).unwrap();
    assert_eq!(of_ada.unwrap(), Once::Done(VoteOutcome::Added));
    assert!(matches!(of_bob, Err(StoreError::Internal(_))), "{of_bob:?}");
}

pub async fn deletion_of_referenced_post_keeps_no_key(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    store.execute(&format!(
        "CREATE TABLE comments (post_id bigint REFERENCES posts (id));
         INSERT INTO comments VALUES ({})",
        post.0
    ));
    let deletion = key("k", &format!("delete {post:?}"));
    let refused = store.delete_post_once(ada, post, None, deletion, noon()).await;
    assert!(matches!(refused, Err(StoreError::Referenced(_))), "{refused:?}");
    store.execute("DELETE FROM comments");
    assert_eq!(delete_once(store, ada, post, "k").await, Once::Done(ChangePost::Changed(())));
}
