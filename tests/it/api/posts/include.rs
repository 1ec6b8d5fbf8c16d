//! `include=my_vote` and `include=owner` on `GET /posts` and `GET /posts/{id}`

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{Engine, Setup, TestApp, TestCaller, TestResponse};

/// Returns the target of the link to the next page.
fn next(page: &TestResponse) -> Option<String> {
    let (target, _) = page.header("link").split_once(">; rel=\"next\"")?;
    Some(target.rsplit('<').next()?.to_owned())
}

async fn name(caller: &TestCaller<'_>, name: &str) {
    let body = json!({"name": name}).to_string();
    caller.send_raw("PATCH", "/users/me", "application/json", body).await.expect(200);
}

/// Returns the text that follows the votes in each entry of a list or of one post.
fn after_votes(response: &TestResponse) -> Vec<String> {
    let entries = response.text().split("\"votes\":").skip(1);
    let entry = |text: &str| {
        text.split(",{\"Post\"").next().unwrap_or_default().trim_end_matches(']').to_owned()
    };
    entries.map(entry).collect()
}

#[tokio::test]
async fn included_parts_follow_the_votes_in_a_fixed_order() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        name(&ada, "Ada \u{1f469}").await;
        let (first, second) = (ada.write_post("first").await, bob.write_post("second").await);
        bob.vote(first, 1).await.expect(201);
        bob.vote(second, -1).await.expect(201);
        let owners = [
            format!("\"owner\":{{\"id\":{},\"name\":null}}", bob.id),
            format!("\"owner\":{{\"id\":{},\"name\":\"Ada \u{1f469}\"}}", ada.id),
        ];
        let votes = ["-1,\"my_vote\":-1", "1,\"my_vote\":1"];
        for (query, expected) in [
            ("include=my_vote", votes.map(|vote| format!("{vote}}}"))),
            (
                "include=owner",
                [0, 1].map(|post| format!("{},{}}}", ["-1", "1"][post], owners[post])),
            ),
            (
                "include=owner,my_vote",
                [0, 1].map(|post| format!("{},{}}}", votes[post], owners[post])),
            ),
            (
                "include=my_vote&include=owner",
                [0, 1].map(|post| format!("{},{}}}", votes[post], owners[post])),
            ),
            (
                "include=my_vote%2Cowner,owner",
                [0, 1].map(|post| format!("{},{}}}", votes[post], owners[post])),
            ),
            ("include=", ["-1}".to_owned(), "1}".to_owned()]),
        ] {
            let list = bob.get(&format!("/posts?{query}")).await.expect(200);
            assert_eq!(after_votes(&list), expected, "{query}");
            for (post, expected) in [(second, &expected[0]), (first, &expected[1])] {
                let read = bob.get(&format!("/posts/{post}?{query}")).await.expect(200);
                assert_eq!(after_votes(&read), [expected.as_str()], "{query}");
            }
        }
        // A caller who has not voted gets 0.
        let list = ada.get("/posts?include=my_vote").await.expect(200);
        assert_eq!(after_votes(&list), ["-1,\"my_vote\":0}", "1,\"my_vote\":0}"]);
    }
}

/// Concurrent requests share the serialized list, but never the parts of another caller.
#[tokio::test]
async fn list_without_include_has_the_same_bytes_for_all_callers() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let post = ada.write_post("post").await;
        name(&ada, "Ada").await;
        bob.vote(post, 1).await.expect(201);
        let before = ada.get("/posts").await.expect(200);
        assert_eq!(after_votes(&before), ["1}"]);
        let (plain, hers, his, again) = tokio::join!(
            ada.get("/posts"),
            ada.get("/posts?include=my_vote"),
            bob.get("/posts?include=my_vote,owner"),
            bob.get("/posts")
        );
        assert_eq!((&plain.body, &again.body), (&before.body, &before.body));
        assert_eq!(hers.json()[0]["my_vote"], 0);
        assert_eq!(
            (&his.json()[0]["my_vote"], &his.json()[0]["owner"]["name"]),
            (&json!(1), &json!("Ada"))
        );
    }
}

#[tokio::test]
async fn links_of_every_list_repeat_the_parts() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        name(&ada, "Ada").await;
        for _ in 0..3 {
            let post = ada.write_post("post").await;
            ada.vote(post, -1).await.expect(201);
            ada.write_draft("post").await;
        }
        let owner = json!({"id": ada.id, "name": "Ada"});
        for (list, my_vote) in [
            ("", -1),
            ("sort=oldest&", -1),
            ("sort=top&", -1),
            ("sort=top&window=day&", -1),
            ("sort=hot&", -1),
            ("search=post&", -1),
            ("search=po&", -1),
            ("owner=me&", -1),
            ("since=2000-01-01T00:00:00Z&", -1),
            ("published=false&", 0),
        ] {
            let first = format!("/posts?{list}limit=1&include=owner&include=my_vote");
            let (mut path, mut entries) = (Some(first), 0);
            while let Some(page) = path {
                let page = ada.get(&page).await.expect(200);
                for entry in page.json().as_array().unwrap() {
                    assert_eq!((&entry["my_vote"], &entry["owner"]), (&json!(my_vote), &owner));
                    entries += 1;
                }
                let links = page.header("link").split(", <").collect::<Vec<_>>();
                for link in &links {
                    assert!(link.contains("include=my_vote%2Cowner"), "{list}: {link}");
                }
                path = next(&page);
            }
            assert_eq!(entries, 3, "{list}");
        }
    }
}

/// A client can ask for other parts on each page.
#[tokio::test]
async fn cursor_is_valid_with_other_parts() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for _ in 0..2 {
        ada.write_post("post").await;
    }
    for sort in ["newest", "top"] {
        let path = format!("/posts?limit=1&sort={sort}&include=my_vote");
        let path = next(&ada.get(&path).await.expect(200)).unwrap();
        for (included, expected) in [("owner", "1-0"), ("", "0-0"), ("my_vote%2Cowner", "1-1")] {
            let page = path.replace("include=my_vote", &format!("include={included}"));
            let page = ada.get(&page).await.expect(200).json();
            let has = |part: &str| usize::from(page[0].get(part).is_some());
            assert_eq!(format!("{}-{}", has("owner"), has("my_vote")), expected, "{included}");
        }
    }
}

/// The tag also begins as that of the post, so it is a condition for changes.
#[tokio::test]
async fn tag_of_a_response_depends_on_its_parts() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    let tag = async |caller: &TestCaller<'_>, path: &str| {
        caller.get(path).await.expect(200).header("etag").to_owned()
    };
    let path = format!("/posts/{post}");
    let with_vote = format!("{path}?include=my_vote");
    let with_owner = format!("{path}?include=owner");
    let plain = tag(&ada, &path).await;
    let unnamed = tag(&ada, &with_owner).await;
    bob.vote(post, 1).await.expect(201);
    ada.vote(post, -1).await.expect(201);
    assert_eq!(tag(&ada, &path).await, plain, "the count is the same");
    assert_ne!(tag(&ada, &with_vote).await, tag(&bob, &with_vote).await);
    assert_ne!(
        tag(&ada, "/posts?include=my_vote").await,
        tag(&bob, "/posts?include=my_vote").await
    );
    name(&ada, "Ada").await;
    let named = tag(&bob, &with_owner).await;
    assert_ne!(named, unnamed);
    for other in [&with_vote, &with_owner] {
        let tag = tag(&ada, other).await;
        assert!(tag.starts_with(&format!("{}.", plain.trim_end_matches('"'))), "{tag} {plain}");
    }
    for (known, status) in [(&plain, 200), (&unnamed, 200), (&named, 304)] {
        let request = ada.request("GET", &with_owner).header("if-none-match", known);
        ada.send(request.body(Body::empty()).unwrap()).await.expect(status);
    }
    for (title, status) in [("new", 200), ("newer", 412)] {
        let request = ada.request("PATCH", &path).header("if-match", &named);
        let request = request.header("content-type", "application/json");
        let body = json!({"title": title}).to_string();
        ada.send(request.body(body.into()).unwrap()).await.expect(status);
    }
}

#[tokio::test]
async fn unknown_part_is_rejected_after_the_older_parameters() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let error = |input: &str| {
        json!({
            "type": "literal_error", "loc": ["query", "include"],
            "msg": "Input should be 'my_vote' or 'owner'", "input": input,
            "ctx": {"expected": "'my_vote' or 'owner'"}
        })
    };
    for (query, input) in [
        ("include=votes", "votes"),
        ("include=owner,My_vote", "My_vote"),
        ("include=owner&include=x&include=y", "x"),
        ("include=%20owner", " owner"),
    ] {
        for path in ["/posts".to_owned(), "/posts/1".to_owned()] {
            let rejected = ada.get(&format!("{path}?{query}")).await.expect(422);
            assert_eq!(rejected.json(), json!({"detail": [error(input)]}), "{path} {query}");
        }
    }
    let path = "/posts?include=x&limit=-1&published=maybe";
    let errors = ada.get(path).await.expect(422).json();
    let places = errors["detail"].as_array().unwrap().iter().map(|error| error["loc"][1].clone());
    assert_eq!(places.collect::<Vec<Value>>(), ["limit", "published", "include"]);
    let errors = ada.get("/posts/x?include=x").await.expect(422).json();
    assert_eq!(errors["detail"][0]["loc"], json!(["path", "id"]));
    assert_eq!(errors["detail"][1], error("x"));
}

#[tokio::test]
async fn owner_of_a_long_list_is_included_in_each_post() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    name(&ada, &"\u{e4}".repeat(64)).await;
    for _ in 0..3 {
        let post = json!({"title": "long", "content": "x".repeat(60_000)});
        ada.post("/posts", &post).await.expect(201);
    }
    let list = ada.get("/posts?include=owner,my_vote").await.expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 3);
    for entry in list.as_array().unwrap() {
        assert_eq!(entry["owner"]["name"], "\u{e4}".repeat(64));
        assert_eq!(entry["my_vote"], 0);
    }
}
