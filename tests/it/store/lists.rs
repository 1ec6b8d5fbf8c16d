//! Lists of posts: order, pages, shelves and searches.

use post_api::domain::caller::Caller;
use post_api::domain::page::{PAGE_BYTES, Page, SEARCH_SKIP_BOUND, Shelf};
use post_api::domain::post::PostContent;
use post_api::store::StoreError;

use super::stores::{FreshStore, content, noon, postgres, search, seeing_drafts, text};

const DRAFTS: Page = Page { limit: None, skip: 0, search: None, shelf: Shelf::OwnDrafts };

pub async fn the_newest_is_first(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    assert!(store.titles(ada, Page::default()).await.is_empty());
    let first = store.write(ada, "first").await;
    store.write(bob, "second").await;
    store.write(ada, "third").await;
    // Neither a change nor a vote makes a post newer.
    store.replace_post(ada, first.id, content("first again", true)).await.unwrap();
    store.vote(bob, first.id, 1).await;
    for caller in [ada, bob] {
        let titles = store.titles(caller, Page::default()).await;
        assert_eq!(titles, ["third", "second", "first again"]);
    }
}

pub async fn pages_fit_together(store: &FreshStore) {
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

pub async fn impossible_pages_are_empty(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 2).await;
    for shelf in [Shelf::Public, Shelf::OwnDrafts] {
        for search in [None, Some("0".to_owned()), Some("long enough".to_owned())] {
            let none = Page { limit: Some(0), skip: 0, search: search.clone(), shelf };
            assert!(store.titles(ada, none).await.is_empty());
            for skip in [2, 1_u64 << 32, i64::MAX.cast_unsigned(), u64::MAX] {
                let page = Page { limit: None, skip, search: search.clone(), shelf };
                assert!(store.titles(ada, page).await.is_empty(), "skip {skip}");
            }
        }
    }
    let most = Page { limit: Some(u32::MAX), ..Page::default() };
    assert_eq!(store.titles(ada, most).await.len(), 2);
}

pub async fn drafts_stand_on_their_own_shelf(store: &FreshStore) {
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
    assert_eq!(store.titles(ada, DRAFTS).await, ["hers 2", "hers 1", "hers 0"]);
    assert_eq!(store.titles(bob, DRAFTS).await, ["his 2", "his 1", "his 0"]);
    let second = Page { limit: Some(1), skip: 1, ..DRAFTS };
    assert_eq!(store.titles(ada, second).await, ["hers 1"]);
    assert!(store.titles(store.sign_up("eve").await, DRAFTS).await.is_empty());
}

pub async fn visible_drafts_stand_among_the_posts(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    store.write(ada, "post").await;
    store.draft(ada, "draft").await;
    assert_eq!(store.titles(seeing_drafts(bob), Page::default()).await, ["draft", "post"]);
    assert_eq!(store.titles(seeing_drafts(bob), search("draft")).await, ["draft"]);
    assert_eq!(store.titles(seeing_drafts(bob), search("d")).await, ["draft"]);
    assert_eq!(store.titles(bob, Page::default()).await, ["post"]);
}

pub async fn a_list_carries_contents_and_votes(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let quiet = store.write(ada, "quiet").await;
    let loud = store.write(bob, "loud").await;
    store.vote(ada, loud.id, 1).await;
    store.vote(bob, loud.id, 1).await;
    for page in [Page::default(), search("u"), search("qui"), search("loud")] {
        for found in store.list_posts(ada, page).await.unwrap() {
            let expected = if found.post.id == loud.id { (&loud, 2) } else { (&quiet, 0) };
            assert_eq!((&found.post, found.votes), expected);
        }
    }
}

pub async fn searches_are_literal(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let titles = [
        "100% sure",
        "snake_case_name",
        "C:\\temp\\new",
        "say \"hello\" twice",
        "it's his",
        "a*b+c?(d)[e]",
        "NEAR AND OR NOT",
        "semi;colon--comment",
        "col:on ^start",
        "{curly} -dash",
    ];
    for title in titles {
        store.write(ada, title).await;
    }
    let mut searches: Vec<String> = titles.iter().flat_map(|title| parts(title)).collect();
    let wild = ["%", "_", "\\", "*", "%%%", "___", "\\\\\\", "***", ".*.", "\"\"\"", "'''"];
    searches.extend(wild.map(str::to_owned));
    assert_found_literally(store, ada, &titles, &searches).await;
}

pub async fn searches_mind_case_and_script(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let titles = [
        "Lantern",
        "lantern",
        "LANTERN",
        "Straße",
        "STRASSE",
        "é composed",
        "e\u{301} decomposed",
        "日本語のタイトル",
        "Привет мир",
        "😀😀😀 faces",
        "İstanbul",
        "\u{ffff}\u{fffe}\u{fffd}",
        "ﬁnd",
        "find",
        "Å\u{212b}",
    ];
    for title in titles {
        store.write(ada, title).await;
    }
    let searches: Vec<String> = titles.iter().flat_map(|title| parts(title)).collect();
    assert_found_literally(store, ada, &titles, &searches).await;
}

/// One, two, three and many characters take different ways through a store.
pub async fn searches_of_every_length_agree(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let long = (0..400).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    store.write(ada, &long).await;
    store.write(ada, "abcabcab").await;
    store.write(ada, "").await;
    for length in (1..10).chain((10..long.len()).step_by(97)).chain([1000, 1001, long.len()]) {
        let part = &long[..length];
        // Of a title the first 1,000 characters are searched.
        let found = usize::from(length <= 1000);
        assert_eq!(store.titles(ada, search(part)).await.len(), found, "{length}");
        let absent = format!("{part}x");
        assert!(store.titles(ada, search(&absent)).await.is_empty(), "{length}");
    }
    // The pieces are there, but not in this order.
    for part in ["cba", "abcb", "bcabca ", "cabb", "acb"] {
        assert!(store.titles(ada, search(part)).await.is_empty(), "{part}");
    }
    assert_eq!(store.titles(ada, search("bcabca")).await, ["abcabcab"]);
    assert!(store.titles(ada, search(&"long ".repeat(20_000))).await.is_empty());
}

pub async fn searches_keep_to_shelf_and_page(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for number in 0..4 {
        store.write(ada, &format!("lantern {number}")).await;
        store.write(ada, "other").await;
        store.draft(bob, &format!("hidden lantern {number}")).await;
    }
    for word in ["la", "l", "lantern"] {
        let page = Page { limit: Some(2), skip: 1, ..search(word) };
        assert_eq!(store.titles(bob, page).await, ["lantern 2", "lantern 1"], "{word}");
        let drafts = Page { limit: Some(1), skip: 2, shelf: Shelf::OwnDrafts, ..search(word) };
        assert_eq!(store.titles(bob, drafts.clone()).await, ["hidden lantern 1"], "{word}");
        assert!(store.titles(ada, drafts).await.is_empty(), "{word}");
    }
}

pub async fn searches_follow_changes(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "before the change").await;
    let unchanged = PostContent { content: text("other"), ..content("before the change", true) };
    store.replace_post(ada, post.id, unchanged).await.unwrap();
    assert_eq!(store.titles(ada, search("before")).await.len(), 1);
    store.replace_post(ada, post.id, content("after it", true)).await.unwrap();
    assert!(store.titles(ada, search("before")).await.is_empty());
    assert_eq!(store.titles(ada, search("after")).await, ["after it"]);
    store.replace_post(ada, post.id, content("after it", false)).await.unwrap();
    assert!(store.titles(ada, search("after")).await.is_empty());
    let drafts = Page { shelf: Shelf::OwnDrafts, ..search("after") };
    assert_eq!(store.titles(ada, drafts.clone()).await, ["after it"]);
    store.delete_post(ada, post.id).await.unwrap();
    assert!(store.titles(ada, drafts).await.is_empty());
}

pub async fn a_blank_search_finds_all(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 2).await;
    assert_eq!(store.titles(ada, search("")).await, ["1", "0"]);
}

/// Titles and contents count, those of the post that reaches the bound too. Who asks for no limit gets all.
pub async fn a_list_ends_after_eight_mebibytes(store: &FreshStore) {
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
    store.delete_post(ada, other).await.unwrap();
    write("a byte less", PAGE_BYTES / 2 - 1).await;
    assert_eq!(store.titles(ada, limited.clone()).await, ["a byte less", "half", "oldest"]);
    write("more than all", PAGE_BYTES + 1).await;
    assert_eq!(store.titles(ada, limited).await, ["more than all"]);
}

pub async fn of_many_long_lists_at_once_each_is_right_or_refused(store: &FreshStore) {
    let given = ask_for_many_lists(store, PAGE_BYTES).await;
    assert!(given >= 8, "{given} lists alone were given");
}

/// Twenty of them have half a mebibyte.
pub async fn of_many_lists_at_once_none_is_refused(store: &FreshStore) {
    assert_eq!(ask_for_many_lists(store, PAGE_BYTES / 16).await, 40);
}

/// Which would read them all side by side.
#[tokio::test]
async fn of_many_long_lists_at_once_postgresql_reads_some() {
    let given = ask_for_many_lists(&postgres().await, PAGE_BYTES).await;
    assert!(given <= 24, "{given} lists were read at once");
}

/// Each is another one, and every second one begins with a post of so many bytes, and shows it alone if
/// that is a whole page. Tells how many were not refused.
async fn ask_for_many_lists(store: &FreshStore, bytes: usize) -> usize {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 20).await;
    let long = PostContent { content: text(&"x".repeat(bytes)), ..content("long", true) };
    store.create_post(ada, long, noon()).await.unwrap();
    let page = |number: u32| {
        let limit = Some(number / 2 + 1);
        Page { limit, skip: u64::from(number % 2), ..Page::default() }
    };
    let lists = (0..40).map(|number| store.list_posts(ada, page(number)));
    let mut given = 0;
    for (number, list) in (0..).zip(futures_util::future::join_all(lists).await) {
        let list = match list {
            Err(StoreError::Overloaded) => store.list_posts(ada, page(number)).await.unwrap(),
            list => list.inspect(|_| given += 1).unwrap(),
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
    given
}

async fn write_numbered(store: &FreshStore, author: Caller, count: u32) {
    for number in 0..count {
        let numbered = content(&number.to_string(), true);
        store.create_post(author, numbered, noon()).await.unwrap();
    }
}

/// Each search finds the titles that contain it, and no others.
async fn assert_found_literally(
    store: &FreshStore,
    caller: Caller,
    titles: &[&str],
    searches: &[String],
) {
    for part in searches {
        let expected: Vec<&str> =
            titles.iter().rev().copied().filter(|title| title.contains(part)).collect();
        assert_eq!(store.titles(caller, search(part)).await, expected, "{part:?}");
    }
}

/// Every run of one, two, three and five characters of the title, and all of it.
fn parts(title: &str) -> Vec<String> {
    let characters: Vec<char> = title.chars().collect();
    let mut parts = vec![title.to_owned()];
    for length in [1, 2, 3, 5] {
        parts.extend(characters.windows(length).map(|part| part.iter().collect::<String>()));
    }
    parts
}

/// What no index can bound gives up after a thousand titles in vain.
pub async fn a_search_leaves_out_ten_thousand_hits_and_no_more(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let write =
        |number: u64| store.create_post(ada, content(&format!("needle {number}"), true), noon());
    for hundred in 0..101 {
        let first = 100 * hundred;
        let written = (first..first + 100).map(write);
        futures_util::future::try_join_all(written).await.unwrap();
    }
    for text in ["needle", "ee"] {
        let from = |skip| Page { limit: Some(5), skip, ..search(text) };
        assert_eq!(store.titles(ada, from(SEARCH_SKIP_BOUND)).await.len(), 5, "{text}");
        assert_eq!(store.titles(ada, from(SEARCH_SKIP_BOUND + 1)).await, [""; 0], "{text}");
    }
}

pub async fn a_search_in_vain_ends(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.write(ada, "needle q7").await;
    for _ in 0..999 {
        store.write(ada, "hay").await;
    }
    assert_eq!(store.titles(ada, search("q7")).await, ["needle q7"]);
    assert_eq!(store.titles(ada, search("zz")).await, [""; 0]);
    store.write(ada, "hay").await;
    assert_eq!(store.titles(ada, search("q7")).await, [""; 0]);
    for limit in [None, Some(1), Some(5)] {
        let page = Page { limit, ..search("needle") };
        assert_eq!(store.titles(ada, page).await, ["needle q7"], "{limit:?}");
    }
}

/// Their number bounds the work; but not for a text that no index could find anywhere.
pub async fn among_own_drafts_a_search_in_vain_goes_on(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.draft(ada, "needle q7").await;
    for _ in 0..1000 {
        store.draft(ada, "hay").await;
    }
    for limit in [None, Some(5)] {
        let page = |text| Page { limit, shelf: Shelf::OwnDrafts, ..search(text) };
        assert_eq!(store.titles(ada, page("needle")).await, ["needle q7"], "{limit:?}");
        assert_eq!(store.titles(ada, page("q7")).await, [""; 0], "{limit:?}");
    }
}

/// Its index knows runs of three letters or digits alone.
#[tokio::test]
async fn postgresql_looks_for_what_has_no_trigrams_in_the_newest_titles() {
    let store = postgres().await;
    let ada = store.sign_up("ada").await;
    store.write(ada, "needle ++++").await;
    for _ in 0..999 {
        store.write(ada, "hay").await;
    }
    assert_eq!(store.titles(ada, search("++++")).await, ["needle ++++"]);
    store.write(ada, "hay").await;
    for limit in [None, Some(5)] {
        let page = Page { limit, ..search("++++") };
        assert_eq!(store.titles(ada, page).await, [""; 0], "{limit:?}");
    }
}
