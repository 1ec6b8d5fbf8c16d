//! `GET /posts`

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn list_without_limit_returns_newest_100() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for number in 0..101 {
        ada.write_post(&number.to_string()).await;
    }
    let titles = ada.titles("/posts").await;
    assert_eq!((titles.len(), titles[0].as_str(), titles[99].as_str()), (100, "100", "1"));
    assert_eq!(ada.titles("/posts?limit=1000").await.len(), 101);
    assert_eq!(ada.titles("/posts?skip=100").await, ["0"]);
    assert_eq!(ada.titles("/posts?limit=2&skip=1").await, ["99", "98"]);
    assert_eq!(ada.titles("/posts?limit=1&limit=2").await.len(), 2);
}

#[tokio::test]
async fn list_parameter_out_of_range_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.write_post("post").await;
    let nines = "9".repeat(40);
    for (query, status) in [
        ("limit=0", 200),
        ("limit=1000", 200),
        ("limit=1001", 422),
        ("limit=-1", 422),
        ("skip=-1", 422),
        ("limit=x", 422),
        ("limit=", 422),
        ("published=maybe", 422),
        ("search=%00", 422),
        (format!("limit={nines}").as_str(), 422),
        ("skip=10000", 200),
        ("skip=10001", 422),
        ("skip=10001&search=", 422),
        ("skip=10001&published=false", 422),
        ("skip=9223372036854775807", 422),
        ("skip=10001&search=post", 200),
        ("skip=9223372036854775807&search=post", 200),
        // No database has so many posts.
        ("skip=9223372036854775808", 200),
        (format!("skip={nines}").as_str(), 200),
        ("unknown=1&%ff=%fe&=&&", 200),
    ] {
        ada.get(&format!("/posts?{query}")).await.expect(status);
    }
    assert_eq!(ada.get("/posts?limit=0").await.json(), json!([]));
    assert_eq!(ada.get(&format!("/posts?skip={nines}")).await.json(), json!([]));
    let refused = ada.get("/posts?limit=x&skip=10001&published=maybe").await.json();
    let fields: Vec<_> =
        refused["detail"].as_array().unwrap().iter().map(|error| &error["loc"][1]).collect();
    assert_eq!(fields, ["limit", "skip", "published"], "in the order of the document");
    assert_eq!(
        refused["detail"][1],
        json!({
            "type": "less_than_equal", "loc": ["query", "skip"], "input": "10001",
            "msg": "Input should be less than or equal to 10000", "ctx": {"le": 10000},
        })
    );
}

#[tokio::test]
async fn search_text_is_matched_literally() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for title in ["100% sure", "snake_case", "back\\slash", "Lantern", "日本語"] {
        ada.write_post(title).await;
    }
    for (search, found) in [
        ("%25", vec!["100% sure"]),
        ("_", vec!["snake_case"]),
        ("%5C", vec!["back\\slash"]),
        ("ante", vec!["Lantern"]),
        ("lantern", vec![]),
        ("%E6%9C%AC", vec!["日本語"]),
        ("100%25+s", vec!["100% sure"]),
    ] {
        assert_eq!(ada.titles(&format!("/posts?search={search}")).await, found, "{search}");
    }
    assert_eq!(ada.titles("/posts?search=").await.len(), 5);
}

/// Only the first 1,000 characters of a title are searched.
#[tokio::test]
async fn long_search_matches_only_the_first_1000_characters() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.write_post(&"%_".repeat(5000)).await;
    let patterns = ["%25_".repeat(500), "%25_".repeat(501), "%22%20OR%20".repeat(1000)];
    let found = [1, 0, 0];
    for (pattern, found) in patterns.iter().zip(found) {
        assert_eq!(ada.titles(&format!("/posts?search={pattern}")).await.len(), found);
    }
}

/// A page ends after 8 MiB, with any limit. `skip` continues after it.
#[tokio::test]
async fn page_of_large_posts_is_limited_in_bytes() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let large = "x".repeat(1024 * 1024);
    for number in 0..12 {
        let post = json!({"title": format!("large {number}"), "content": large});
        ada.post("/posts", &post).await.expect(201);
    }
    for query in ["limit=12", "limit=12&search=large"] {
        assert_eq!(ada.titles(&format!("/posts?{query}")).await.len(), 8, "{query}");
        assert_eq!(ada.titles(&format!("/posts?{query}&skip=8")).await.len(), 4, "{query}");
    }
}

#[tokio::test]
async fn own_drafts_are_listed_only_with_published_false() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    ada.write_post("post").await;
    ada.write_draft("a draft").await;
    ada.write_draft("another draft").await;
    assert_eq!(ada.titles("/posts?published=false").await, ["another draft", "a draft"]);
    assert_eq!(ada.titles("/posts?published=0&search=a%20d&limit=1").await, ["a draft"]);
    assert!(bob.titles("/posts?published=false").await.is_empty());
    for path in ["/posts", "/posts?published=true", "/posts?search=draft"] {
        let titles = ada.titles(path).await;
        assert!(!titles.iter().any(|title| title.contains("draft")), "{path}");
    }
}
