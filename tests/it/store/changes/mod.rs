//! The log of changes: what is logged, and for how long.

/// When the log begins and ends, and its epochs.
mod epochs;

/// Writes of other programs.
mod other_programs;

/// Copies of an SQLite file that are put back.
mod sqlite_files;

use std::time::Duration;

use futures_util::future::join_all;
use post_api::domain::change::{
    ChangePosition, ChangeSubject, ChangedPost, MAX_CHANGED_TEXT, PostChangeKind,
};
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::{PostContent, PostId};

pub use self::epochs::*;
pub use self::other_programs::*;
use super::fresh_store::{FreshStore, content, email, hash, noon, text, with_valid_from};

/// Returns the position from which on every change is logged.
pub async fn listen(store: &FreshStore) -> ChangePosition {
    let start = store.listen_to_changes().await.unwrap().start;
    wait_for(store, start).await;
    start
}

/// Waits until every transaction has ended that was older than the position, for two minutes at most.
/// Other databases of the server can have such transactions.
async fn wait_for(store: &FreshStore, position: ChangePosition) {
    let wait = async { while store.read_changes(position, 1).await.unwrap().end < position {} };
    let limit = Duration::from_mins(2);
    tokio::time::timeout(limit, wait).await.expect("an older transaction does not end");
}

/// Returns the changes that were committed since the position.
pub async fn log_since(store: &FreshStore, start: ChangePosition) -> Vec<ChangeSubject> {
    wait_for(store, store.listen_to_changes().await.unwrap().start).await;
    let part = store.read_changes(start, 5000).await.unwrap();
    part.changes.iter().map(|change| change.subject).collect()
}

/// Like [`log_since`], without repetitions. One statement can log several rows of a post.
pub(super) async fn changes_since(store: &FreshStore, start: ChangePosition) -> Vec<ChangeSubject> {
    let mut subjects = Vec::new();
    for subject in log_since(store, start).await {
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects
}

pub fn created(id: PostId) -> ChangeSubject {
    ChangeSubject::Post { id, kind: PostChangeKind::Created }
}

pub(super) fn updated(id: PostId, was_published: bool) -> ChangeSubject {
    ChangeSubject::Post { id, kind: PostChangeKind::Updated { was_published } }
}

pub(super) fn deleted(id: PostId, was_published: bool) -> ChangeSubject {
    ChangeSubject::Post { id, kind: PostChangeKind::Deleted { was_published } }
}

pub(super) fn voted(id: PostId) -> ChangeSubject {
    ChangeSubject::Post { id, kind: PostChangeKind::Votes }
}

pub async fn changes_of_a_post_are_logged_in_their_order(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let start = listen(store).await;
    let post = store.write(ada, "post").await.id;
    let draft = store.draft(ada, "draft").await.id;
    for content in [
        content("edited", true),
        content("edited", true),
        content("edited", false),
        PostContent { content: text("other"), ..content("edited", false) },
        content("edited", true),
    ] {
        store.update_post(ada, post, content.into(), None).await.unwrap();
    }
    store.delete_post(ada, draft, None).await.unwrap();
    store.delete_post(ada, post, None).await.unwrap();
    // The second change is the same content again.
    let mut expected = vec![created(post), created(draft)];
    expected.extend([true, true, false, false].map(|before| updated(post, before)));
    expected.extend([deleted(draft, false), deleted(post, true)]);
    assert_eq!(log_since(store, start).await, expected);
    let part = store.read_changes(start, 100).await.unwrap();
    assert!(part.changes.is_sorted_by(|one, next| one.position < next.position), "{part:?}");
}

pub async fn votes_are_logged_by_post(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (one, other) = (store.write(ada, "one").await.id, store.write(ada, "other").await.id);
    let mut start = listen(store).await;
    for (post, dir) in [(one, 1), (one, -1), (one, 0), (other, -1)] {
        store.vote(bob, post, dir).await;
        assert_eq!(changes_since(store, start).await, [voted(post)], "{dir}");
        start = listen(store).await;
    }
    store.vote(bob, other, -1).await;
    store.vote(bob, one, 0).await;
    assert_eq!(changes_since(store, start).await, []);
}

pub async fn deletion_of_a_voted_post_tells_whether_it_was_published(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for is_hidden in [false, true] {
        let post = store.write(ada, "post").await.id;
        store.vote(bob, post, 1).await;
        if is_hidden {
            store.update_post(ada, post, content("post", false).into(), None).await.unwrap();
        }
        let start = listen(store).await;
        store.delete_post(ada, post, None).await.unwrap();
        let logged = changes_since(store, start).await;
        assert!(logged.contains(&deleted(post, !is_hidden)), "{logged:?}");
        assert!(!logged.contains(&deleted(post, is_hidden)), "{logged:?}");
    }
}

pub async fn revocations_are_logged_by_account(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let revoked = [ChangeSubject::TokensRevoked(ada.user_id)];
    let mut start = listen(store).await;
    let valid_from = store.change_password(ada, hash("b"), noon()).await.unwrap();
    assert_eq!(changes_since(store, start).await, revoked);
    let ada = with_valid_from(ada, valid_from);
    start = listen(store).await;
    store.change_name(ada, None).await.unwrap();
    store.upgrade_password_hash(ada.user_id, hash("b"), hash("c")).await.unwrap();
    assert_eq!(changes_since(store, start).await, []);
    store.sign_out(ada, noon()).await.unwrap();
    assert_eq!(changes_since(store, start).await, revoked);
    let mut operator = store.operator();
    for is_disabled in [true, false] {
        start = listen(store).await;
        assert!(if is_disabled {
            operator.disable_account(ada.user_id, noon()).await.unwrap()
        } else {
            operator.enable_account(ada.user_id).await.unwrap()
        });
        assert_eq!(changes_since(store, start).await, revoked, "{is_disabled}");
    }
    start = listen(store).await;
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    let ada = with_valid_from(ada, found.tokens_valid_from);
    store.delete_user(ada, ada.user_id).await.unwrap();
    store.wait_for_deletions().await;
    assert_eq!(changes_since(store, start).await, revoked);
}

/// The posts are invisible from the closing on, and are logged when their rows are deleted.
pub async fn closed_account_is_logged_before_its_posts(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    let draft = store.draft(ada, "draft").await.id;
    let other = store.write(bob, "other").await.id;
    store.vote(ada, other, 1).await;
    let start = listen(store).await;
    store.delete_user(ada, ada.user_id).await.unwrap();
    store.wait_for_deletions().await;
    let logged = changes_since(store, start).await;
    assert_eq!(logged[0], ChangeSubject::TokensRevoked(ada.user_id));
    for subject in [deleted(post, true), deleted(draft, false), voted(other)] {
        assert!(logged.contains(&subject), "{subject:?}: {logged:?}");
    }
    let found = store.find_changed_posts(vec![post, draft, other], DraftVisibility::Visible).await;
    assert_eq!(found.unwrap().len(), 1);
}

pub async fn every_write_of_a_batch_is_logged(store: &FreshStore) {
    let mut voters = Vec::new();
    for number in 0..8 {
        voters.push(store.sign_up(&format!("voter{number}")).await);
    }
    let start = listen(store).await;
    let posts = join_all(voters.iter().map(|voter| store.write(*voter, "post"))).await;
    let posts: Vec<PostId> = posts.iter().map(|post| post.id).collect();
    let ballots = voters.iter().flat_map(|voter| posts.iter().map(move |post| (*voter, *post)));
    join_all(ballots.map(|(voter, post)| store.vote(voter, post, 1))).await;
    let logged = changes_since(store, start).await;
    for post in posts {
        assert!(logged.contains(&created(post)) && logged.contains(&voted(post)), "{logged:?}");
    }
    assert_eq!(logged.len(), 16, "{logged:?}");
}

pub async fn parts_continue_at_their_end(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let start = listen(store).await;
    for number in 0..7 {
        store.write(ada, &format!("post {number}")).await;
    }
    assert_eq!(changes_since(store, start).await.len(), 7);
    let whole = store.read_changes(start, 100).await.unwrap();
    assert!(whole.end >= whole.changes[6].position);
    for limit in [1_u32, 2, 3, 7, 8] {
        let full = usize::try_from(limit).unwrap();
        let (mut position, mut found) = (start, Vec::new());
        while found.len() < 7 {
            let part = store.read_changes(position, limit).await.unwrap();
            assert!(part.changes.len() <= full && part.end > position, "{part:?}");
            if part.changes.len() == full {
                assert_eq!(part.end, part.changes.last().unwrap().position);
            }
            position = part.end;
            found.extend(part.changes);
        }
        assert_eq!(found, whole.changes, "{limit}");
        let rest = store.read_changes(position, limit).await.unwrap();
        assert!(rest.changes.is_empty() && rest.end >= position, "{rest:?}");
    }
}

pub async fn old_changes_are_forgotten(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let start = listen(store).await;
    for number in 0..5 {
        store.write(ada, &format!("post {number}")).await;
    }
    changes_since(store, start).await;
    let before = store.read_changes(start, 100).await.unwrap();
    store.forget_changes().await.unwrap();
    assert_eq!(store.read_changes(start, 100).await.unwrap().changes, before.changes);
    assert!(before.forgotten <= start);
    store.age_changes(before.changes[2].position.number);
    store.forget_changes().await.unwrap();
    let after = store.read_changes(start, 100).await.unwrap();
    assert_eq!(after.changes, before.changes[3..]);
    assert_eq!(after.forgotten, before.changes[2].position);
    assert_eq!(after.epoch, before.epoch);
    store.age_changes(i64::MAX);
    store.forget_changes().await.unwrap();
    let last = store.read_changes(start, 100).await.unwrap();
    assert_eq!((last.changes, last.forgotten), (vec![], before.changes[4].position));
    // A reader that begins now misses nothing.
    let start = listen(store).await;
    assert!(store.read_changes(start, 1).await.unwrap().forgotten <= start);
    let post = store.write(ada, "another").await.id;
    assert_eq!(changes_since(store, start).await, [created(post)]);
}

pub async fn changes_beyond_a_million_are_forgotten(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let start = listen(store).await;
    for number in 0..5 {
        store.write(ada, &format!("post {number}")).await;
    }
    let first = store.number("SELECT min(id) FROM post_changes");
    let row = "INSERT INTO post_changes (id, post_id, kind) VALUES";
    store.execute(&format!("{row} ({}, 1, 4)", first + 1_000_001));
    changes_since(store, start).await;
    store.forget_changes().await.unwrap();
    assert_eq!(store.number("SELECT min(id) FROM post_changes"), first + 2);
    assert_eq!(store.count_rows("post_changes"), 4);
    let part = store.read_changes(start, 100).await.unwrap();
    assert_eq!((part.changes.len(), part.forgotten.number), (4, first + 1));
}

/// A newer release can log more kinds.
pub async fn changes_of_unknown_kinds_are_passed_over(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let start = listen(store).await;
    store.execute(
        "INSERT INTO post_changes (post_id, kind) VALUES (1, 0), (1, 6), (NULL, 1), (NULL, 4), (1, 5)",
    );
    let post = store.write(ada, "post").await.id;
    assert_eq!(changes_since(store, start).await, [created(post)]);
    let (mut position, mut found) = (start, Vec::new());
    while found.is_empty() {
        let part = store.read_changes(position, 2).await.unwrap();
        assert!(part.end > position, "{part:?}");
        position = part.end;
        found = part.changes;
    }
}

pub async fn changed_posts_are_those_of_every_reader(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await;
    let draft = store.draft(ada, "draft").await;
    let max = usize::try_from(MAX_CHANGED_TEXT).unwrap();
    let long = |length: usize| PostContent {
        content: text(&"x".repeat(length - "title".len())),
        ..content("title", true)
    };
    let longest = store.create_post(ada, long(max), noon()).await.unwrap();
    let too_long = store.create_post(ada, long(max + 1), noon()).await.unwrap();
    store.vote(ada, too_long.id, -1).await;
    store.vote(ada, post.id, 1).await;
    let ids = vec![too_long.id, PostId(0), draft.id, longest.id, post.id, PostId(i64::MAX)];
    let mut expected = vec![
        ChangedPost { id: post.id, votes: 1, post: Some(post) },
        ChangedPost { id: longest.id, votes: 0, post: Some(longest) },
        ChangedPost { id: too_long.id, votes: -1, post: None },
    ];
    let find = async |drafts| {
        let mut found = store.find_changed_posts(ids.clone(), drafts).await.unwrap();
        found.sort_unstable_by_key(|found| found.id.0);
        found
    };
    assert_eq!(find(DraftVisibility::Private).await, expected);
    expected.insert(1, ChangedPost { id: draft.id, votes: 0, post: Some(draft) });
    assert_eq!(find(DraftVisibility::Visible).await, expected);
    assert_eq!(store.find_changed_posts(vec![], DraftVisibility::Visible).await.unwrap(), []);
}
