//! Updates and deletions of posts with an idempotency key, also under a precondition.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use post_api::domain::caller::Caller;
use post_api::domain::post::{Post, PostId, PostUpdate, PostWithVotes, Precondition};
use post_api::store::{ChangePost, Once};

use super::fresh_store::{FreshStore, content, noon, text};
use super::idempotency_keys::{done, key};
use super::post_changes::titled;
use crate::support::run_concurrently;

/// Texts that JSON escapes, and an empty one.
const TEXTS: [&str; 5] =
    ["", "\"quoted\" \\ and \u{7f}", "two\nlines\t\u{1}", "é 日本語 😀", "null"];

fn title(title: &str) -> PostUpdate {
    PostUpdate { title: Some(text(title)), ..PostUpdate::default() }
}

async fn update_once(
    store: &FreshStore,
    author: Caller,
    post: PostId,
    update: PostUpdate,
    precondition: Option<Precondition>,
) -> Once<ChangePost<PostWithVotes>> {
    let key = key("k", &format!("{update:?} {post:?}"));
    store.update_post_once(author, post, update, precondition, key, noon()).await.unwrap()
}

/// Returns an update of the fields whose bits are set.
fn update_of(fields: usize, new: &str) -> PostUpdate {
    PostUpdate {
        title: (fields & 1 > 0).then(|| text(new)),
        content: (fields & 2 > 0).then(|| text(new)),
        published: (fields & 4 > 0).then_some(false),
    }
}

/// The outcome of then has fields that neither the retry nor the post has any more.
pub async fn repeated_update_of_any_fields_has_the_post_of_then(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for (fields, stored) in (0..8).zip(TEXTS.into_iter().cycle()) {
        let update = update_of(fields, "new");
        let new = content(stored, true);
        let new = post_api::domain::post::PostContent { content: text(stored), ..new };
        let post = store.create_post(ada, new, noon()).await.unwrap();
        store.vote(bob, post.id, -1).await;
        let mut expected = PostWithVotes { post: post.clone(), votes: -1 };
        let Post { title, content, published, .. } = &mut expected.post;
        *title = update.title.clone().unwrap_or_else(|| title.clone());
        *content = update.content.clone().unwrap_or_else(|| content.clone());
        *published = update.published.unwrap_or(*published);
        let id = post.id;
        let updated = update_once(store, ada, id, update.clone(), None).await;
        assert_eq!(updated, Once::Done(ChangePost::Changed(expected.clone())), "{fields}");
        assert_eq!(store.read(ada, id).await.unwrap(), expected, "{fields}");

        let other = super::fresh_store::content("later", true);
        store.update_post(ada, id, other.into(), None).await.unwrap();
        store.vote(bob, id, 1).await;
        let later = store.read(ada, id).await.unwrap();
        let again = update_once(store, ada, id, update.clone(), None).await;
        assert_eq!(again, Once::Replayed(ChangePost::Changed(expected.clone())), "{fields}");
        assert_eq!(store.read(ada, id).await.unwrap(), later, "{fields}");
        store.delete_post(ada, id, None).await.unwrap();
        let again = update_once(store, ada, id, update, None).await;
        assert_eq!(again, Once::Replayed(ChangePost::Changed(expected)), "{fields}");
        // The next update uses the same key.
        store.execute("DELETE FROM idempotency_keys");
    }
}

/// The key of an update keeps at most 64 KiB of text, so the texts of a longer post are those of now.
pub async fn repeated_update_of_a_long_post_has_its_texts_of_now(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let long = post_api::domain::post::PostContent {
        content: text(&"x".repeat(64 * 1024)),
        ..content("before", true)
    };
    let id = store.create_post(ada, long, noon()).await.unwrap().id;
    let hidden = || PostUpdate { published: Some(false), ..PostUpdate::default() };
    let first = update_once(store, ada, id, hidden(), None).await;
    assert!(matches!(first, Once::Done(ChangePost::Changed(_))), "{first:?}");
    store.update_post(ada, id, content("after", true).into(), None).await.unwrap();
    let again = update_once(store, ada, id, hidden(), None).await;
    let Once::Replayed(ChangePost::Changed(replayed)) = again else { panic!("{again:?}") };
    assert_eq!((replayed.post.title.as_str(), replayed.post.published), ("after", false));
    assert!(store.read(ada, id).await.unwrap().post.published);
    store.delete_post(ada, id, None).await.unwrap();
    let again = update_once(store, ada, id, hidden(), None).await;
    assert_eq!(again, Once::Replayed(ChangePost::NoSuchPost));
}

/// An older version kept nothing with an update of all fields.
pub async fn repeated_update_of_an_older_version_is_replayed(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let id = store.write(ada, "before").await.id;
    let first = update_once(store, ada, id, update_of(7, "after"), None).await;
    let Once::Done(ChangePost::Changed(first)) = first else { panic!("{first:?}") };
    store.execute("UPDATE idempotency_keys SET reply = NULL");
    let again = update_once(store, ada, id, update_of(7, "after"), None).await;
    assert_eq!(again, Once::Replayed(ChangePost::Changed(first)));
}

/// The change itself makes its precondition fail, so the retry must not be refused.
pub async fn repeated_change_is_not_checked_again(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let checks = Arc::new(AtomicUsize::new(0));
    let post = store.write(ada, "before").await.id;
    let before = || Some(titled("before", &checks));
    let Once::Done(changed @ ChangePost::Changed(_)) =
        update_once(store, ada, post, title("after"), before()).await
    else {
        panic!("not updated");
    };
    assert_eq!(checks.load(Ordering::SeqCst), 1);
    for precondition in [before(), Some(titled("another", &checks)), None] {
        let again = update_once(store, ada, post, title("after"), precondition).await;
        assert_eq!(again, Once::Replayed(changed.clone()));
    }
    // With another key the same request is refused.
    let other = key("other", "request");
    let refused = store.update_post_once(ada, post, title("after"), before(), other, noon()).await;
    assert_eq!(refused.unwrap(), Once::Done(ChangePost::PreconditionFailed));
    assert_eq!(checks.load(Ordering::SeqCst), 2);

    let deletion = key("d", "request");
    for number in 0..3 {
        let after = Some(titled("after", &checks));
        let deleted = store.delete_post_once(ada, post, after, deletion, noon()).await.unwrap();
        let outcome = ChangePost::Changed(());
        let expected = if number == 0 { Once::Done(outcome) } else { Once::Replayed(outcome) };
        assert_eq!(deleted, expected);
    }
    assert_eq!(checks.load(Ordering::SeqCst), 3);
}

/// A refusal changed nothing, so the same request is executed when the post meets its precondition.
pub async fn change_that_fails_its_precondition_keeps_no_key(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let checks = Arc::new(AtomicUsize::new(0));
    let post = store.write(ada, "before").await.id;
    let (update, deletion) = (title("after"), key("d", "deletion"));
    let wanted = || Some(titled("wanted", &checks));
    let failed = update_once(store, ada, post, update.clone(), wanted()).await;
    assert_eq!(failed, Once::Done(ChangePost::PreconditionFailed));
    let failed = store.delete_post_once(ada, post, wanted(), deletion, noon()).await.unwrap();
    assert_eq!(failed, Once::Done(ChangePost::PreconditionFailed));
    assert_eq!(store.count_rows("idempotency_keys"), 0);
    assert_eq!(store.read(ada, post).await.unwrap().post.title, text("before"));

    store.update_post(ada, post, title("wanted"), None).await.unwrap();
    let changed = done(update_once(store, ada, post, update, wanted()).await);
    assert!(matches!(changed, ChangePost::Changed(_)), "{changed:?}");
    store.update_post(ada, post, title("wanted"), None).await.unwrap();
    let deleted = store.delete_post_once(ada, post, wanted(), deletion, noon()).await.unwrap();
    assert_eq!(deleted, Once::Done(ChangePost::Changed(())));
}

/// Each would be refused by the change of the first one.
pub async fn concurrent_conditional_changes_with_one_key_happen_once(store: &FreshStore) {
    const MANY: usize = 20;
    let ada = store.sign_up("ada").await;
    let checks = Arc::new(AtomicUsize::new(0));
    let post = store.write(ada, "before").await.id;
    let updates = (0..MANY)
        .map(|_| update_once(store, ada, post, title("after"), Some(titled("before", &checks))));
    let outcomes = run_concurrently(updates).await;
    let executed = outcomes.iter().filter(|outcome| matches!(outcome, Once::Done(_))).count();
    assert_eq!(executed, 1);
    let post = store.read(ada, post).await.unwrap();
    for outcome in outcomes {
        let (Once::Done(outcome) | Once::Replayed(outcome)) = outcome else {
            panic!("the requests are the same");
        };
        assert_eq!(outcome, ChangePost::Changed(post.clone()));
    }
}

pub async fn keyed_change_needs_the_author_and_a_visible_post(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (post, draft) = (store.write(ada, "post").await.id, store.draft(ada, "draft").await.id);
    let checks = Arc::new(AtomicUsize::new(0));
    for precondition in [None, Some(titled("post", &checks))] {
        for (id, refusal) in [
            (post, ChangePost::NotOwner),
            (draft, ChangePost::NoSuchPost),
            (PostId(4711), ChangePost::NoSuchPost),
        ] {
            let refused = update_once(store, bob, id, title("his"), precondition.clone()).await;
            assert_eq!(refused, Once::Done(refusal), "{id:?}");
        }
    }
    assert_eq!(checks.load(Ordering::SeqCst), 0);
    assert_eq!(store.count_rows("idempotency_keys"), 0);
}

pub async fn key_of_an_update_expires_after_a_day(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "before").await.id;
    let key = key("k", "request");
    for (hours, is_executed) in [(0, true), (23, false), (24, true), (47, false)] {
        let now = noon() + SignedDuration::from_hours(hours);
        let update = store.update_post_once(ada, post, title("after"), None, key, now).await;
        assert_eq!(matches!(update.unwrap(), Once::Done(_)), is_executed, "{hours}");
    }
}
