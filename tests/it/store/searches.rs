//! Searches in titles: hits, and the limit on misses.

use post_api::domain::caller::Caller;
use post_api::domain::page::{Page, PostScope};
use post_api::domain::post::PostContent;
use post_api::store::page_limits::MAX_SEARCH_SKIP;

use super::fresh_store::{FreshStore, content, noon, postgres, search, text};
use super::lists::write_numbered;

pub async fn search_text_is_literal(store: &FreshStore) {
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
    let mut searches: Vec<String> = titles.iter().flat_map(|title| substrings(title)).collect();
    let wild = ["%", "_", "\\", "*", "%%%", "___", "\\\\\\", "***", ".*.", "\"\"\"", "'''"];
    searches.extend(wild.map(str::to_owned));
    assert_found_literally(store, ada, &titles, &searches).await;
}

pub async fn search_distinguishes_case_and_script(store: &FreshStore) {
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
    let searches: Vec<String> = titles.iter().flat_map(|title| substrings(title)).collect();
    assert_found_literally(store, ada, &titles, &searches).await;
}

/// The stores handle searches of one, two, three and more characters differently.
pub async fn search_of_every_length_finds_the_same(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let long = (0..400).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    store.write(ada, &long).await;
    store.write(ada, "abcabcab").await;
    store.write(ada, "").await;
    for length in (1..10).chain((10..long.len()).step_by(97)).chain([1000, 1001, long.len()]) {
        let part = &long[..length];
        // Only the first 1,000 characters of a title are searched.
        let found = usize::from(length <= 1000);
        assert_eq!(store.titles(ada, search(part)).await.len(), found, "{length}");
        let absent = format!("{part}x");
        assert!(store.titles(ada, search(&absent)).await.is_empty(), "{length}");
    }
    // All trigrams are in the title, but in another order.
    for part in ["cba", "abcb", "bcabca ", "cabb", "acb"] {
        assert!(store.titles(ada, search(part)).await.is_empty(), "{part}");
    }
    assert_eq!(store.titles(ada, search("bcabca")).await, ["abcabcab"]);
    assert!(store.titles(ada, search(&"long ".repeat(20_000))).await.is_empty());
}

pub async fn search_respects_scope_and_page(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    for number in 0..4 {
        store.write(ada, &format!("lantern {number}")).await;
        store.write(ada, "other").await;
        store.draft(bob, &format!("hidden lantern {number}")).await;
    }
    for word in ["la", "l", "lantern"] {
        let page = Page { limit: Some(2), skip: 1, ..search(word) };
        assert_eq!(store.titles(bob, page).await, ["lantern 2", "lantern 1"], "{word}");
        let drafts = Page { limit: Some(1), skip: 2, scope: PostScope::OwnDrafts, ..search(word) };
        assert_eq!(store.titles(bob, drafts.clone()).await, ["hidden lantern 1"], "{word}");
        assert!(store.titles(ada, drafts).await.is_empty(), "{word}");
    }
}

pub async fn search_follows_changes(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "before the change").await;
    let unchanged = PostContent { content: text("other"), ..content("before the change", true) };
    store.update_post(ada, post.id, unchanged.into(), None).await.unwrap();
    assert_eq!(store.titles(ada, search("before")).await.len(), 1);
    store.update_post(ada, post.id, content("after it", true).into(), None).await.unwrap();
    assert!(store.titles(ada, search("before")).await.is_empty());
    assert_eq!(store.titles(ada, search("after")).await, ["after it"]);
    store.update_post(ada, post.id, content("after it", false).into(), None).await.unwrap();
    assert!(store.titles(ada, search("after")).await.is_empty());
    let drafts = Page { scope: PostScope::OwnDrafts, ..search("after") };
    assert_eq!(store.titles(ada, drafts.clone()).await, ["after it"]);
    store.delete_post(ada, post.id, None).await.unwrap();
    assert!(store.titles(ada, drafts).await.is_empty());
}

pub async fn empty_search_finds_all(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_numbered(store, ada, 2).await;
    assert_eq!(store.titles(ada, search("")).await, ["1", "0"]);
}

pub async fn search_skips_at_most_ten_thousand_hits(store: &FreshStore) {
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
        assert_eq!(store.titles(ada, from(MAX_SEARCH_SKIP)).await.len(), 5, "{text}");
        assert_eq!(store.titles(ada, from(MAX_SEARCH_SKIP + 1)).await, [""; 0], "{text}");
    }
}

/// If no index bounds a search, it stops after 1,000 titles without a match.
pub async fn search_without_hit_ends_after_thousand_titles(store: &FreshStore) {
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

/// The store reads a long title as a whole and then searches its first 1,000 characters.
pub async fn search_counts_long_title_as_several_misses(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.write(ada, "needle q7").await;
    let write =
        |number: usize| store.create_post(ada, content(&"hay ".repeat(number), true), noon());
    futures_util::future::try_join_all([1500; 142].map(write)).await.unwrap();
    assert_eq!(store.titles(ada, search("q7")).await, ["needle q7"], "142 times seven");
    write(1500).await.unwrap();
    assert_eq!(store.titles(ada, search("q7")).await, [""; 0]);
}

/// The number of own drafts bounds the work, except for texts too short for any index.
pub async fn search_in_own_drafts_is_not_cut_off(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.draft(ada, "needle q7").await;
    for _ in 0..1000 {
        store.draft(ada, "hay").await;
    }
    for limit in [None, Some(5)] {
        let page = |text| Page { limit, scope: PostScope::OwnDrafts, ..search(text) };
        assert_eq!(store.titles(ada, page("needle")).await, ["needle q7"], "{limit:?}");
        assert_eq!(store.titles(ada, page("eed")).await, ["needle q7"], "{limit:?}");
        assert_eq!(store.titles(ada, page("q7")).await, [""; 0], "{limit:?}");
    }
}

/// For every `skip` and `limit`.
pub async fn search_hits_do_not_count_as_misses(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.write(ada, "oldest q7").await;
    for _ in 0..995 {
        store.write(ada, "hay").await;
    }
    for _ in 0..20 {
        store.write(ada, "q7").await;
    }
    for (limit, skip) in [(21, 0), (5, 20)] {
        let page = Page { limit: Some(limit), skip, ..search("q7") };
        let found = store.titles(ada, page).await;
        assert_eq!(found.last().map(String::as_str), Some("oldest q7"), "{limit} after {skip}");
    }
}

/// The trigram index of PostgreSQL covers only letters and digits.
#[tokio::test]
async fn postgresql_search_without_trigrams_scans_newest_titles() {
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

/// Checks that each search finds exactly the titles that contain it.
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

/// Returns the title and its substrings of one, two, three and five characters.
fn substrings(title: &str) -> Vec<String> {
    let characters: Vec<char> = title.chars().collect();
    let mut substrings = vec![title.to_owned()];
    for length in [1, 2, 3, 5] {
        substrings.extend(characters.windows(length).map(|part| part.iter().collect::<String>()));
    }
    substrings
}
