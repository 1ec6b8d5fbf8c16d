//! `GET /users/me/votes`

use serde_json::{Value, json};

use crate::support::{Engine, Setup, TestApp, TestCaller, TestResponse};

/// Returns the target of a relation in the `Link` header.
fn target(response: &TestResponse, relation: &str) -> Option<String> {
    let links = response.header("link").to_owned();
    let link = links.split(", ").find(|link| link.ends_with(&format!("rel=\"{relation}\"")));
    let (target, _) = link?.strip_prefix('<')?.split_once('>')?;
    Some(target.to_owned())
}

/// Follows the links to the next page until the end, and returns all votes.
async fn walk(caller: &TestCaller<'_>, first: &str) -> Vec<Value> {
    let (mut votes, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let page = caller.get(&path).await.expect(200);
        votes.extend(page.json().as_array().unwrap().iter().cloned());
        next = target(&page, "next");
    }
    votes
}

#[tokio::test]
async fn own_votes_are_listed_page_by_page() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let mut expected = Vec::new();
        for dir in [1, -1, 1, 1, -1] {
            let post = ada.write_post("post").await;
            bob.vote(post, dir).await.expect(201);
            expected.insert(0, json!({"post_id": post, "dir": dir}));
        }
        let page = bob.get("/users/me/votes").await.expect(200);
        let newest = page.text().split('}').next().unwrap();
        assert_eq!(newest, format!("[{{\"post_id\":{},\"dir\":-1", expected[0]["post_id"]));
        assert_eq!(page.json(), json!(expected));
        assert_eq!(page.header("link"), "</users/me/votes>; rel=\"first\"");
        for limit in [1, 2, 5, 1000] {
            let first = format!("/users/me/votes?limit={limit}");
            assert_eq!(walk(&bob, &first).await, expected, "{limit}");
        }
        let page = bob.get("/users/me/votes?limit=2&unknown=1").await.expect(200);
        assert_eq!(target(&page, "first").unwrap(), "/users/me/votes?limit=2");
        let next = target(&page, "next").unwrap();
        assert!(next.starts_with("/users/me/votes?limit=2&cursor="), "{next}");
        // A vote that is withdrawn or cast meanwhile changes nothing of the others.
        bob.vote(expected[1]["post_id"].as_i64().unwrap(), 0).await.expect(201);
        assert_eq!(bob.get(&next).await.expect(200).json(), json!(expected[2..4]));
        let none = bob.get("/users/me/votes?limit=0").await.expect(200);
        assert_eq!((none.text(), none.header("link")), ("[]", ""));
        assert_eq!(ada.get("/users/me/votes").await.expect(200).text(), "[]");
    }
}

#[tokio::test]
async fn votes_on_given_posts_are_listed_on_one_page() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let mut posts = Vec::new();
        for _ in 0..3 {
            posts.push(ada.write_post("post").await);
        }
        bob.vote(posts[0], 1).await.expect(201);
        bob.vote(posts[2], -1).await.expect(201);
        let (up, down) =
            (json!({"post_id": posts[0], "dir": 1}), json!({"post_id": posts[2], "dir": -1}));
        let all = posts.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        for (query, votes) in [
            (format!("posts={all}"), json!([down, up])),
            (format!("posts={}&posts={}", posts[2], posts[0]), json!([down, up])),
            (format!("posts={all}&limit=1"), json!([down])),
            (format!("posts={}", posts[1]), json!([])),
            (format!("posts=%20{}%20,0,-5,{}", posts[0], "9".repeat(30)), json!([up])),
            (format!("posts={}{}", posts[0], ",0".repeat(999)), json!([up])),
        ] {
            let page = bob.get(&format!("/users/me/votes?{query}")).await.expect(200);
            assert_eq!(page.json(), votes, "{query}");
            assert_eq!(page.header("link"), "", "{query}");
        }
        // A post that became a draft is left out of both lists.
        let draft = json!({"title": "post", "content": "text", "published": false});
        ada.put(&format!("/posts/{}", posts[0]), &draft).await.expect(200);
        for path in [format!("/users/me/votes?posts={all}"), "/users/me/votes".to_owned()] {
            assert_eq!(bob.get(&path).await.expect(200).json(), json!([down]), "{path}");
        }
    }
}

#[tokio::test]
async fn invalid_query_of_votes_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let not_a_number = "Input should be a valid integer, unable to parse string as an integer";
    let too_long = "List should have at most 1000 items after validation";
    for (query, place, kind, message, context) in [
        ("posts=1,x,y", "posts", "int_parsing", not_a_number, Value::Null),
        ("posts=", "posts", "int_parsing", not_a_number, Value::Null),
        (
            &*format!("posts=1{}", ",1".repeat(1000)),
            "posts",
            "too_long",
            too_long,
            json!({"max_length": 1000}),
        ),
        (
            "limit=1001",
            "limit",
            "less_than_equal",
            "Input should be less than or equal to 1000",
            json!({"le": 1000}),
        ),
        (
            "cursor=x",
            "cursor",
            "value_error",
            "Value error, the cursor is not one of this list",
            json!({"reason": "the cursor is not one of this list"}),
        ),
        (
            "cursor=x&posts=1",
            "posts",
            "value_error",
            "Value error, posts goes with no cursor",
            json!({"reason": "posts goes with no cursor"}),
        ),
    ] {
        let rejected = ada.get(&format!("/users/me/votes?{query}")).await.expect(422).json();
        let error = &rejected["detail"][0];
        assert_eq!(error["loc"], json!(["query", place]), "{query}");
        assert_eq!((&error["type"], &error["msg"]), (&json!(kind), &json!(message)), "{query}");
        assert_eq!(error["ctx"], context, "{query}");
    }
    let rejected = ada.get("/users/me/votes?posts=1,x,y").await.expect(422).json();
    assert_eq!(rejected["detail"][0]["input"], "x");
    // A blank cursor means the beginning.
    ada.get("/users/me/votes?cursor=").await.expect(200);
    app.with_token("x").get("/users/me/votes?cursor=x").await.expect(401);
}

#[tokio::test]
async fn cursor_of_votes_is_valid_for_every_account() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for _ in 0..3 {
        let post = ada.write_post("post").await;
        ada.vote(post, 1).await.expect(201);
        bob.vote(post, -1).await.expect(201);
    }
    let next = target(&ada.get("/users/me/votes?limit=1").await.expect(200), "next").unwrap();
    let page = bob.get(&next.replace("limit=1", "limit=9")).await.expect(200).json();
    let dirs = page.as_array().unwrap().iter().map(|vote| vote["dir"].clone());
    assert_eq!(dirs.collect::<Vec<_>>(), [-1, -1]);
    let gone = app.signed_in("gone").await;
    gone.delete("/users/me").await.expect(204);
    gone.get("/users/me/votes?cursor=x").await.expect(401);
}
