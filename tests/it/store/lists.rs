//! Lists of posts: order, pages, scopes and length limits.
//!
//! Not here: searches, see `searches.rs`.

use post_api::domain::caller::Caller;
use post_api::domain::page::{Page, PostScope};
use post_api::domain::post::PostContent;
use post_api::store::StoreError;
use post_api::store::page_limits::PAGE_BYTES;

use super::fresh_store::{FreshStore, content, noon, postgres, search, seeing_drafts, text};

fn own_drafts() -> Page {
    Page { scope: PostScope::OwnDrafts, ..Page::default() }
}

pub async fn list_has_newest_post_first(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    assert!(store.titles(ada, Page::default()).await.is_empty());
    let first = store.write(ada, "first").await;
    store.write(bob, "second").await;
    store.write(ada, "third").await;
    // Neither a change nor a vote makes a post newer.
    store.update_post(ada, first.id, content("first again", true).into(), None).await.unwrap();
    store.vote(bob, first.id, 1).await;
    for caller in [ada, bob] {
        let titles = store.titles(caller, Page::default()).await;
        assert_eq!(titles, ["third", "second", "first again"]);
    }
}

pub async fn pages_cover_the_whole_list(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 7).await;
    let all = store.titles(ada, Page::default()).await;
    assert_eq!(all, ["6", "5", "4", "3", "2", "1", "0"]);
    for limit in 1..=8 {
        let mut together = Vec::new();
        for skip in (0..8).step_by(limit) {
            let limit = u32::try_from(limit).ok();
            let page = Page { limit, skip, ..Page::default() };
            together.extend(store.titles(ada, page).await);
        }
        assert_eq!(together, all, "pages of {limit}");
    }
    let rest = store.titles(ada, Page { skip: 5, ..Page::default() }).await;
    assert_eq!(rest, ["1", "0"]);
}

pub async fn page_out_of_range_is_empty(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 2).await;
    for scope in [PostScope::Public, PostScope::OwnDrafts] {
        for search in [None, Some("0".to_owned()), Some("long enough".to_owned())] {
            let all = Page { search, scope, ..Page::default() };
            let none = Page { limit: Some(0), ..all.clone() };
            assert!(store.titles(ada, none).await.is_empty());
            for skip in [2, 1_u64 << 32, i64::MAX.cast_unsigned(), u64::MAX] {
                let page = Page { skip, ..all.clone() };
                assert!(store.titles(ada, page).await.is_empty(), "skip {skip}");
            }
        }
    }
    let latest = Page { limit: Some(u32::MAX), ..Page::default() };
    assert_eq!(store.titles(ada, latest).await.len(), 2);
}

pub async fn draft_list_shows_only_own_drafts(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for number in 0..3 {
        store.draft(ada, &format!("hers {number}")).await;
        store.write(ada, &format!("public {number}")).await;
        store.draft(bob, &format!("his {number}")).await;
    }
    for caller in [ada, bob] {
        let public = store.titles(caller, Page::default()).await;
        assert_eq!(public, ["public 2", "public 1", "public 0"]);
    }
    assert_eq!(store.titles(ada, own_drafts()).await, ["hers 2", "hers 1", "hers 0"]);
    assert_eq!(store.titles(bob, own_drafts()).await, ["his 2", "his 1", "his 0"]);
    let second = Page { limit: Some(1), skip: 1, ..own_drafts() };
    assert_eq!(store.titles(ada, second).await, ["hers 1"]);
    assert!(store.titles(store.sign_up("eve").await, own_drafts()).await.is_empty());
}

pub async fn visible_drafts_are_in_the_public_list(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    store.write(ada, "post").await;
    store.draft(ada, "draft").await;
    assert_eq!(store.titles(seeing_drafts(bob), Page::default()).await, ["draft", "post"]);
    assert_eq!(store.titles(seeing_drafts(bob), search("draft")).await, ["draft"]);
    assert_eq!(store.titles(seeing_drafts(bob), search("d")).await, ["draft"]);
    assert_eq!(store.titles(bob, Page::default()).await, ["post"]);
}

pub async fn list_includes_contents_and_votes(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let quiet = store.write(ada, "quiet").await;
    let loud = store.write(bob, "loud").await;
    store.vote(ada, loud.id, 1).await;
    store.vote(bob, loud.id, 1).await;
    for page in [Page::default(), search("u"), search("qui"), search("loud")] {
        for found in store.list_posts(ada, page).await.unwrap().iter() {
            let expected = if found.post.id == loud.id { (&loud, 2) } else { (&quiet, 0) };
            assert_eq!((&found.post, found.votes), expected);
        }
    }
}

/// The bytes of titles and contents count, including the post that reaches the limit. A list
/// without `limit` shows all.
pub async fn list_ends_after_eight_mebibytes(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let write = async |title: &str, bytes: usize| {
        let long = "x".repeat(bytes - title.len());
        let written = PostContent { content: text(&long), ..content(title, true) };
        store.create_post(ada, written, noon()).await.unwrap().id
    };
    write("oldest", 10).await;
    write("half", PAGE_BYTES / 2).await;
    let other = write("other half", PAGE_BYTES / 2).await;
    let limited = Page { limit: Some(10), ..Page::default() };
    for page in [limited.clone(), Page { limit: Some(10), ..search("l") }] {
        let rest = Page { skip: 2, ..page.clone() };
        let all = Page { limit: None, ..page.clone() };
        assert_eq!(store.titles(ada, page).await, ["other half", "half"]);
        assert_eq!(store.titles(ada, rest).await, ["oldest"]);
        assert_eq!(store.titles(ada, all).await, ["other half", "half", "oldest"]);
    }
    store.delete_post(ada, other, None).await.unwrap();
    write("a byte less", PAGE_BYTES / 2 - 1).await;
    assert_eq!(store.titles(ada, limited.clone()).await, ["a byte less", "half", "oldest"]);
    write("more than all", PAGE_BYTES + 1).await;
    assert_eq!(store.titles(ada, limited).await, ["more than all"]);
}

pub async fn concurrent_long_lists_are_right_or_rejected(store: &FreshStore) {
    let accepted = request_many_lists(store, PAGE_BYTES).await;
    assert!(accepted >= 8, "only {accepted} lists were accepted");
}

/// Every second list includes a post of half a mebibyte.
pub async fn concurrent_short_lists_are_never_rejected(store: &FreshStore) {
    assert_eq!(request_many_lists(store, PAGE_BYTES / 16).await, 40);
}

/// Without a limit PostgreSQL would read them all in parallel.
#[tokio::test]
async fn postgresql_reads_only_some_long_lists_concurrently() {
    let accepted = request_many_lists(&postgres().await, PAGE_BYTES).await;
    assert!(accepted <= 24, "{accepted} lists were read concurrently");
}

/// Requests 40 different lists concurrently and returns how many were accepted. Every second list
/// starts with a post of this size, and shows only that post if it fills a page.
async fn request_many_lists(store: &FreshStore, bytes: usize) -> usize {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 20).await;
    let long = PostContent { content: text(&"x".repeat(bytes)), ..content("long", true) };
    store.create_post(ada, long, noon()).await.unwrap();
    let page = |number: u32| {
        let limit = Some(number / 2 + 1);
        Page { limit, skip: u64::from(number % 2), ..Page::default() }
    };
    let lists = (0..40).map(|number| store.list_posts(ada, page(number)));
    let mut accepted = 0;
    for (number, list) in (0..).zip(futures_util::future::join_all(lists).await) {
        let list = match list {
            Err(StoreError::Overloaded) => store.list_posts(ada, page(number)).await.unwrap(),
            list => list.inspect(|_| accepted += 1).unwrap(),
        };
        let titles: Vec<&str> = list.iter().map(|found| found.post.title.as_str()).collect();
        let numbers = (0..20).rev().map(|number| number.to_string());
        let all: Vec<String> = ["long".to_owned()].into_iter().chain(numbers).collect();
        let limit = usize::try_from(number / 2 + 1).unwrap();
        match number % 2 {
            0 if bytes >= PAGE_BYTES => assert_eq!(titles, ["long"]),
            0 => assert_eq!(titles, all[..limit]),
            _ => assert_eq!(titles, all[1..=limit]),
        }
    }
    accepted
}

pub async fn write_numbered(store: &FreshStore, author: Caller, count: u32) {
    for number in 0..count {
        let numbered = content(&number.to_string(), true);
        store.create_post(author, numbered, noon()).await.unwrap();
    }
}
