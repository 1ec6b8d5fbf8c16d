//! Posts and drafts: visibility, ownership, and texts that stay unchanged.

use jiff::Timestamp;
use post_api::domain::page::Page;
use post_api::domain::post::{Post, PostContent, PostId, PostWithVotes};
use post_api::store::{ChangePost, StoreError};

use super::fresh_store::{FreshStore, content, noon, seeing_drafts, text};

/// Texts that a database, an encoding or a collation might change.
const TEXTS: &[&str] = &[
    "",
    " ",
    " \t\r\n around \u{b} ",
    "😀👩‍👩‍👧‍👦🇨🇭",
    "\u{ffff}\u{fffe}\u{fffd}\u{feff}",
    "\u{10ffff}",
    "é e\u{301} \u{212b} \u{fb01}",
    "\u{1}\u{7f}\u{80}\u{9f}\u{2028}\u{2029}",
    "'; DROP TABLE posts; --",
    "\\ \\x00 \\u0000 % _ \" ` $1 ?1 :a @b",
    "\u{202e}override\u{202c}",
    "<script>alert(1)</script>",
    "\u{1b}[31mred",
];

pub async fn created_post_is_found_unchanged(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let written = store.write(ada, "title").await;
    assert!(written.id.0 > 0);
    assert_eq!((written.owner_id, written.created_at), (ada.user_id, noon()));
    assert_eq!((written.title.as_str(), written.content.as_str()), ("title", "text"));
    assert!(written.published);
    for reader in [ada, bob] {
        let found = store.read(reader, written.id).await.unwrap();
        assert_eq!((found.post, found.votes), (written.clone(), 0));
    }
}

/// The store must not report a database error as a missing author.
pub async fn post_rejected_by_database_is_internal_error(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.reject_rows("posts");
    let refused = store.create_post(ada, content("a title", true), noon()).await;
    assert!(matches!(refused, Err(StoreError::Internal(_))), "{refused:?}");
}

pub async fn impossible_post_id_is_not_found(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for id in [0, -1, 4711, i64::MAX, i64::MIN].map(PostId) {
        assert_eq!(store.read(ada, id).await, None);
        let replaced = store.update_post(ada, id, content("no", true).into(), None).await.unwrap();
        assert_eq!(replaced, ChangePost::NoSuchPost);
        assert_eq!(store.delete_post(ada, id, None).await.unwrap(), ChangePost::NoSuchPost);
    }
}

pub async fn draft_is_visible_only_to_its_author(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let draft = store.draft(ada, "draft").await;
    assert!(!draft.published);
    assert_eq!(store.read(ada, draft.id).await.unwrap().post, draft);
    assert_eq!(store.read(bob, draft.id).await, None);
    let replaced =
        store.update_post(bob, draft.id, content("no", true).into(), None).await.unwrap();
    assert_eq!(replaced, ChangePost::NoSuchPost);
    assert_eq!(store.delete_post(bob, draft.id, None).await.unwrap(), ChangePost::NoSuchPost);
    assert_eq!(store.read(ada, draft.id).await.unwrap().post, draft);
    assert_eq!(store.delete_post(ada, draft.id, None).await.unwrap(), ChangePost::Changed(()));
}

pub async fn visible_draft_can_be_changed_only_by_its_author(store: &FreshStore) {
    let ada = seeing_drafts(store.sign_up("ada").await);
    let bob = seeing_drafts(store.sign_up("bob").await);
    let draft = store.draft(ada, "draft").await;
    assert_eq!(store.read(bob, draft.id).await.unwrap().post, draft);
    let replaced =
        store.update_post(bob, draft.id, content("no", true).into(), None).await.unwrap();
    assert_eq!(replaced, ChangePost::NotOwner);
    assert_eq!(store.delete_post(bob, draft.id, None).await.unwrap(), ChangePost::NotOwner);
    assert_eq!(store.read(ada, draft.id).await.unwrap().post, draft);
}

pub async fn replaced_post_keeps_id_time_owner_and_votes(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "before").await;
    store.vote(bob, post.id, -1).await;
    let new = PostContent { title: text("after"), content: text("other"), published: false };
    let ChangePost::Changed(replaced) =
        store.update_post(ada, post.id, new.into(), None).await.unwrap()
    else {
        panic!("the author could not replace the post");
    };
    let expected =
        Post { title: text("after"), content: text("other"), published: false, ..post.clone() };
    assert_eq!((&replaced.post, replaced.votes), (&expected, -1));
    assert_eq!(store.read(ada, post.id).await.unwrap(), replaced);
}

pub async fn post_of_other_user_cannot_be_changed(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "hers").await;
    let replaced =
        store.update_post(bob, post.id, content("his", false).into(), None).await.unwrap();
    assert_eq!(replaced, ChangePost::NotOwner);
    assert_eq!(store.delete_post(bob, post.id, None).await.unwrap(), ChangePost::NotOwner);
    assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    assert_eq!(store.titles(bob, Page::default()).await, ["hers"]);
}

pub async fn deleted_post_is_not_found(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (kept, deleted) = (store.write(ada, "kept").await, store.write(ada, "deleted").await);
    store.vote(bob, deleted.id, 1).await;
    assert_eq!(store.delete_post(ada, deleted.id, None).await.unwrap(), ChangePost::Changed(()));
    assert_eq!(store.delete_post(ada, deleted.id, None).await.unwrap(), ChangePost::NoSuchPost);
    assert_eq!(store.read(ada, deleted.id).await, None);
    let replaced =
        store.update_post(ada, deleted.id, content("back", true).into(), None).await.unwrap();
    assert_eq!(replaced, ChangePost::NoSuchPost);
    assert_eq!(store.titles(ada, Page::default()).await, ["kept"]);
    assert_eq!(store.read(ada, kept.id).await.unwrap().post, kept);
}

pub async fn id_of_deleted_post_is_never_reused(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let mut last = 0;
    for _ in 0..5 {
        let post = store.write(ada, "post").await;
        assert!(post.id.0 > last);
        last = post.id.0;
        store.delete_post(ada, post.id, None).await.unwrap();
    }
}

pub async fn publishing_and_hiding_take_effect_immediately(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.draft(ada, "post").await;
    for published in [true, false, true] {
        store.update_post(ada, post.id, content("post", published).into(), None).await.unwrap();
        assert_eq!(store.read(bob, post.id).await.is_some(), published);
        let listed = store.titles(bob, Page::default()).await.len();
        assert_eq!(listed, usize::from(published));
    }
}

pub async fn texts_are_stored_unchanged(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for original in TEXTS {
        let new = PostContent { title: text(original), content: text(original), published: true };
        let post = store.create_post(ada, new.clone(), noon()).await.unwrap();
        assert_eq!((&post.title, &post.content), (&new.title, &new.content));
        assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
        let other = content("other", true);
        store.update_post(ada, post.id, other.into(), None).await.unwrap();
        store.update_post(ada, post.id, new.into(), None).await.unwrap();
        assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
        let newest = store.list_posts(ada, Page { limit: Some(1), ..Page::default() }).await;
        assert_eq!(newest.unwrap()[0].post, post);
    }
}

pub async fn long_texts_are_stored_unchanged(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let long = "0123456789abcde😀".repeat(64 * 1024);
    assert!(long.len() > 1024 * 1024);
    let title = "a title 😀 ".repeat(5000);
    let new = PostContent { title: text(&title), content: text(&long), published: true };
    let post = store.create_post(ada, new, noon()).await.unwrap();
    assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    assert_eq!(store.delete_post(ada, post.id, None).await.unwrap(), ChangePost::Changed(()));
}

pub async fn post_creation_time_keeps_microseconds(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for microseconds in [0, 1, 999_999, 1_738_324_800_000_000, 253_402_207_199_999_999, -1] {
        let created_at = Timestamp::from_microsecond(microseconds).unwrap();
        let created = store.create_post(ada, content("post", true), created_at).await.unwrap();
        let found = store.read(ada, created.id).await.unwrap().post;
        assert_eq!((created.created_at, found.created_at), (created_at, created_at));
        let replaced =
            store.update_post(ada, created.id, content("post", true).into(), None).await.unwrap();
        assert_eq!(replaced, ChangePost::Changed(PostWithVotes { post: created, votes: 0 }));
    }
}
