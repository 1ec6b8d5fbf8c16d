//! `GET /posts` with `sort=top` and `sort=hot`.

use serde_json::json;

use crate::support::{TestApp, TestCaller};

/// Returns the titles of the page and of all pages after it.
async fn walk(caller: &TestCaller<'_>, path: &str) -> Vec<String> {
    let mut path = path.to_owned();
    let mut walked = Vec::new();
    loop {
        walked.extend(caller.titles(&path).await);
        let page = caller.get(&path).await.expect(200);
        let links = page.header("link").to_owned();
        assert!(!links.contains("prev"), "{links}");
        let Some((target, _)) = links.split_once(">; rel=\"next\"") else { return walked };
        path = target.strip_prefix('<').unwrap().to_owned();
    }
}

/// Writes posts with votes. The clock is at the last one. Tokens expire meanwhile.
async fn write_voted(app: &TestApp) {
    let posts = [("two weeks", 3, 13 * 24), ("days", 2, 23), ("day", 1, 1), ("new", 0, 0)];
    for (number, (title, votes, hours)) in posts.into_iter().enumerate() {
        let post = app.signed_in(&format!("author{number}")).await.write_post(title).await;
        for voter in 0..votes {
            let voter = app.signed_in(&format!("voter{number}{voter}")).await;
            voter.vote(post, 1).await.expect(201);
        }
        app.clock.advance(hours * 60 * 60);
    }
}

#[tokio::test]
async fn ranking_has_the_best_posts_of_its_window_first() {
    let app = TestApp::start().await;
    write_voted(&app).await;
    let ada = app.signed_in("reader").await;
    for (query, titles) in [
        ("sort=top", vec!["two weeks", "days", "day", "new"]),
        ("sort=top&window=all", vec!["two weeks", "days", "day", "new"]),
        ("sort=top&window=year", vec!["two weeks", "days", "day", "new"]),
        ("sort=top&window=week", vec!["days", "day", "new"]),
        ("sort=top&window=day", vec!["days", "day", "new"]),
        ("sort=hot", vec!["new", "day", "days", "two weeks"]),
    ] {
        assert_eq!(ada.titles(&format!("/posts?{query}")).await, titles, "{query}");
        assert_eq!(walk(&ada, &format!("/posts?limit=1&{query}")).await, titles, "{query}");
        assert_eq!(ada.titles(&format!("/posts?{query}&skip=1")).await, titles[1..], "{query}");
    }
    assert_eq!(ada.get("/posts?sort=top&limit=0").await.expect(200).json(), json!([]));
    assert!(ada.titles("/posts?sort=top&skip=9999").await.is_empty());
}

/// The order is up to a minute old, the votes are not, and posts that are gone are left out.
#[tokio::test]
async fn ranking_is_shared_until_it_is_old() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let first = ada.write_post("first").await;
    let second = ada.write_post("second").await;
    ada.write_post("gone").await;
    assert_eq!(ada.titles("/posts?sort=top").await, ["gone", "second", "first"]);
    ada.vote(first, 1).await.expect(201);
    bob.vote(first, 1).await.expect(201);
    ada.delete(&format!("/posts/{}", second + 1)).await.expect(204);
    app.clock.advance(5);
    let list = ada.get("/posts?sort=top").await.json();
    assert_eq!((&list[0]["Post"]["id"], &list[1]["votes"]), (&json!(second), &json!(2)));
    // Older than a minute: the request waits for a new one.
    app.clock.advance(56);
    assert_eq!(ada.titles("/posts?sort=top").await, ["first", "second"]);
    // Older than five seconds: it is renewed for later requests.
    ada.vote(second, 1).await.expect(201);
    bob.vote(first, 0).await.expect(201);
    ada.vote(first, 0).await.expect(201);
    app.clock.advance(6);
    while ada.titles("/posts?sort=top").await != ["second", "first"] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn clock_that_is_set_back_keeps_no_ranking() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    assert!(ada.titles("/posts?sort=hot").await.is_empty());
    ada.write_post("post").await;
    app.clock.advance(-1);
    assert_eq!(ada.titles("/posts?sort=hot").await, ["post"]);
}

#[tokio::test]
async fn parameter_that_goes_with_no_ranking_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for (query, field) in [
        ("sort=top&search=x", "sort"),
        ("sort=hot&published=false", "sort"),
        ("sort=hot&window=day", "window"),
        ("window=day", "window"),
        ("sort=top&window=hour", "window"),
        ("sort=top&owner=me", "owner"),
        ("sort=top&since=2025-01-01T00:00:00Z", "since"),
        ("sort=hot&until=2025-01-01T00:00:00Z", "until"),
    ] {
        let errors = ada.get(&format!("/posts?{query}")).await.expect(422).json()["detail"].clone();
        assert_eq!(
            (errors.as_array().unwrap().len(), &errors[0]["loc"][1]),
            (1, &json!(field)),
            "{query}"
        );
    }
}
