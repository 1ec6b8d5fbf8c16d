//! Changes of single fields, and preconditions of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use post_api::domain::caller::Caller;
use post_api::domain::post::{PostContent, PostId, PostUpdate, Precondition};
use post_api::store::postgres::PoolLimits;
use post_api::store::{ChangePost, Store, StoreError};

use super::fresh_store::{
    FreshStore, assert_caller_rejected, content, postgres, postgres_with, text,
};

fn title(title: &str) -> PostUpdate {
    PostUpdate { title: Some(text(title)), ..PostUpdate::default() }
}

/// Requires a title, and counts the checks.
pub fn titled(wanted: &str, checks: &Arc<AtomicUsize>) -> Precondition {
    let (wanted, checks) = (wanted.to_owned(), Arc::clone(checks));
    Precondition::new(move |post| {
        checks.fetch_add(1, Ordering::SeqCst);
        post.title.as_str() == wanted
    })
}

/// Returns the outcomes of all three changes under the precondition, without what they return.
async fn outcomes(
    store: &dyn Store,
    caller: Caller,
    id: PostId,
    precondition: &Precondition,
) -> [ChangePost<()>; 3] {
    let new = content("changed", true);
    let replaced =
        store.update_post(caller, id, new.into(), Some(precondition.clone())).await.unwrap();
    let updated =
        store.update_post(caller, id, title("changed"), Some(precondition.clone())).await.unwrap();
    let deleted = store.delete_post(caller, id, Some(precondition.clone())).await.unwrap();
    [unit(&replaced), unit(&updated), deleted]
}

fn unit<T>(outcome: &ChangePost<T>) -> ChangePost<()> {
    match outcome {
        ChangePost::Changed(_) => ChangePost::Changed(()),
        ChangePost::NotOwner => ChangePost::NotOwner,
        ChangePost::PreconditionFailed => ChangePost::PreconditionFailed,
        ChangePost::NoSuchPost => ChangePost::NoSuchPost,
    }
}

pub async fn update_replaces_only_its_fields(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let mut expected = store.write(ada, "before").await;
    store.vote(bob, expected.id, -1).await;
    let id = expected.id;
    for field in 0..4 {
        let update = PostUpdate {
            title: (field == 0).then(|| text("after")),
            content: (field == 1).then(|| text("")),
            published: (field == 2).then_some(false),
        };
        match field {
            0 => expected.title = text("after"),
            1 => expected.content = text(""),
            2 => expected.published = false,
            // An empty update changes nothing.
            _ => {}
        }
        let ChangePost::Changed(updated) = store.update_post(ada, id, update, None).await.unwrap()
        else {
            panic!("the author could not update the post");
        };
        assert_eq!((&updated.post, updated.votes), (&expected, -1));
        assert_eq!(store.read(ada, id).await.unwrap(), updated);
    }
}

pub async fn update_needs_the_author_and_a_visible_post(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (post, draft) = (store.write(ada, "post").await, store.draft(ada, "draft").await);
    for update in [PostUpdate::default(), title("his")] {
        for (id, outcome) in [
            (post.id, ChangePost::NotOwner),
            (draft.id, ChangePost::NoSuchPost),
            (PostId(4711), ChangePost::NoSuchPost),
            (PostId(i64::MIN), ChangePost::NoSuchPost),
        ] {
            let refused = store.update_post(bob, id, update.clone(), None).await.unwrap();
            assert_eq!(unit(&refused), outcome, "{id:?}");
        }
    }
    store.delete_user(bob, bob.user_id).await.unwrap();
    assert_caller_rejected(store.update_post(bob, post.id, title("his"), None).await);
    assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    assert_eq!(store.read(ada, draft.id).await.unwrap().post, draft);
}

pub async fn concurrent_updates_of_different_fields_are_all_kept(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "before").await.id;
    let updates = [
        title("after"),
        PostUpdate { content: Some(text("other")), ..PostUpdate::default() },
        PostUpdate { published: Some(false), ..PostUpdate::default() },
    ];
    let updates = updates.map(|update| store.update_post(ada, post, update, None));
    for updated in crate::support::run_concurrently(updates).await {
        assert!(matches!(updated.unwrap(), ChangePost::Changed(_)));
    }
    let found = store.read(ada, post).await.unwrap().post;
    let found =
        PostContent { title: found.title, content: found.content, published: found.published };
    assert_eq!(
        found,
        PostContent { title: text("after"), content: text("other"), published: false }
    );
}

pub async fn change_needs_a_post_that_meets_the_precondition(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let checks = Arc::new(AtomicUsize::new(0));
    let post = store.write(ada, "before").await;
    let unmet = titled("another", &checks);
    let failed = [(); 3].map(|()| ChangePost::PreconditionFailed);
    assert_eq!(outcomes(&**store, ada, post.id, &unmet).await, failed);
    assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    assert_eq!(checks.load(Ordering::SeqCst), 3);

    let new = content("second", false);
    let met = || titled("before", &checks);
    let replaced = store.update_post(ada, post.id, new.into(), Some(met())).await.unwrap();
    assert!(matches!(replaced, ChangePost::Changed(_)), "{replaced:?}");
    let again =
        store.update_post(ada, post.id, content("third", true).into(), Some(met())).await.unwrap();
    assert_eq!(again, ChangePost::PreconditionFailed);
    let met = || titled("second", &checks);
    let updated = store.update_post(ada, post.id, title("third"), Some(met())).await.unwrap();
    assert!(matches!(updated, ChangePost::Changed(_)), "{updated:?}");
    let met = || titled("third", &checks);
    assert_eq!(
        store.delete_post(ada, post.id, Some(met())).await.unwrap(),
        ChangePost::Changed(())
    );
    assert_eq!(store.read(ada, post.id).await, None);
}

/// Only the author learns whether a post meets a precondition.
pub async fn precondition_is_checked_last(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let checks = Arc::new(AtomicUsize::new(0));
    let (post, draft) = (store.write(ada, "title").await, store.draft(ada, "title").await);
    for wanted in ["title", "another"] {
        let precondition = titled(wanted, &checks);
        for (id, outcome) in [
            (post.id, ChangePost::NotOwner),
            (draft.id, ChangePost::NoSuchPost),
            (PostId(4711), ChangePost::NoSuchPost),
        ] {
            let expected = [(); 3].map(|()| outcome.clone());
            assert_eq!(outcomes(&**store, bob, id, &precondition).await, expected, "{id:?}");
        }
        let rejected = Caller { user_id: post_api::domain::user::UserId(4711), ..bob };
        for id in [post.id, draft.id, PostId(4711)] {
            let deleted = store.delete_post(rejected, id, Some(precondition.clone())).await;
            assert_caller_rejected(deleted);
            let updated =
                store.update_post(rejected, id, title("no"), Some(precondition.clone())).await;
            assert_caller_rejected(updated);
        }
    }
    assert_eq!(checks.load(Ordering::SeqCst), 0);
}

/// Each change expects the outcome of another one, so exactly one of them succeeds.
pub async fn concurrent_changes_with_one_precondition_succeed_once(store: &FreshStore) {
    const MANY: usize = 20;
    let ada = store.sign_up("ada").await;
    let checks = Arc::new(AtomicUsize::new(0));
    let post = store.write(ada, "before").await.id;
    let changes =
        (0..MANY).map(|number| {
            let precondition = titled("before", &checks);
            let number = number.to_string();
            async move {
                store.update_post(ada, post, title(&number), Some(precondition)).await.unwrap()
            }
        });
    let outcomes = crate::support::run_concurrently(changes).await;
    let succeeded = outcomes.iter().filter(|outcome| matches!(outcome, ChangePost::Changed(_)));
    assert_eq!(succeeded.count(), 1);
    let failed = outcomes.iter().filter(|outcome| **outcome == ChangePost::PreconditionFailed);
    assert_eq!(failed.count(), MANY - 1);
}

/// Changes the post by another program each time after its check, as often as the test says.
fn overtaken(
    store: &Arc<FreshStore>,
    id: PostId,
    times: usize,
    checks: &Arc<AtomicUsize>,
) -> Precondition {
    let (store, checks) = (Arc::clone(store), Arc::clone(checks));
    Precondition::new(move |post| {
        let number = checks.fetch_add(1, Ordering::SeqCst);
        if number < times {
            let sql = format!("UPDATE posts SET content = '{number}' WHERE id = {}", id.0);
            store.execute(&sql);
        }
        post.title.as_str() == "title"
    })
}

#[tokio::test]
async fn change_by_another_program_after_the_check_is_checked_again() {
    let store = Arc::new(postgres().await);
    let ada = store.sign_up("ada").await;
    for change in ["replace", "update", "delete"] {
        let checks = Arc::new(AtomicUsize::new(0));
        let id = store.write(ada, "title").await.id;
        let precondition = Some(overtaken(&store, id, 2, &checks));
        let outcome = match change {
            "replace" => {
                let new = content("new", true);
                unit(&store.update_post(ada, id, new.into(), precondition).await.unwrap())
            }
            "update" => {
                unit(&store.update_post(ada, id, title("new"), precondition).await.unwrap())
            }
            _ => store.delete_post(ada, id, precondition).await.unwrap(),
        };
        assert_eq!(outcome, ChangePost::Changed(()), "{change}");
        assert_eq!(checks.load(Ordering::SeqCst), 3, "{change}");
        if change == "update" {
            // The update has kept what the other program wrote.
            assert_eq!(store.read(ada, id).await.unwrap().post.content, text("1"));
        }
    }
}

#[tokio::test]
async fn change_of_a_post_that_changes_after_every_check_is_refused() {
    // A hundred checks can take longer than a request may on a busy machine.
    let never = Duration::from_hours(1);
    let limits =
        PoolLimits { statement_timeout: never, answer_timeout: never, ..PoolLimits::default() };
    let store = Arc::new(postgres_with(limits));
    let ada = store.sign_up("ada").await;
    let id = store.write(ada, "title").await.id;
    let checks = Arc::new(AtomicUsize::new(0));
    let precondition = Some(overtaken(&store, id, usize::MAX, &checks));
    let refused = store.update_post(ada, id, title("new"), precondition).await;
    assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
    assert_eq!(checks.load(Ordering::SeqCst), 100);
    assert_eq!(store.read(ada, id).await.unwrap().post.title, text("title"));
}

/// A change that makes the post fail its precondition, after the check and before the statement.
#[tokio::test]
async fn change_by_another_program_can_fail_the_precondition() {
    let store = Arc::new(postgres().await);
    let ada = store.sign_up("ada").await;
    let id = store.write(ada, "title").await.id;
    let precondition = {
        let store = Arc::clone(&store);
        Some(Precondition::new(move |post| {
            let is_met = post.title.as_str() == "title";
            store.execute(&format!("UPDATE posts SET title = 'another' WHERE id = {}", id.0));
            is_met
        }))
    };
    let deleted = store.delete_post(ada, id, precondition).await.unwrap();
    assert_eq!(deleted, ChangePost::PreconditionFailed);
    assert_eq!(store.read(ada, id).await.unwrap().post.title, text("another"));
}
