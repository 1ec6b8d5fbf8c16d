//! `If-Match` and `If-None-Match` of `PUT`, `PATCH` and `DELETE /posts/{id}`.

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{TestApp, TestCaller, TestResponse, run_concurrently};

const METHODS: [&str; 3] = ["PUT", "PATCH", "DELETE"];

/// Sends a valid change with these headers.
async fn change(
    caller: &TestCaller<'_>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> TestResponse {
    let body = json!({"title": "changed", "content": "changed"}).to_string();
    let mut request = caller.request(method, path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if method == "DELETE" { Body::empty() } else { Body::from(body) };
    caller.send(request.body(body).unwrap()).await
}

fn success(method: &str) -> u16 {
    if method == "DELETE" { 204 } else { 200 }
}

async fn tag(caller: &TestCaller<'_>, path: &str) -> String {
    caller.get(path).await.expect(200).header("etag").to_owned()
}

/// Returns conditions that the post with this tag meets, or does not meet.
fn conditions(tag: &str) -> Vec<(bool, Vec<(&'static str, String)>)> {
    let (text, _) = tag.trim_matches('"').split_once('.').unwrap();
    let with_votes = |votes: &str| format!("\"{text}.{votes}\"");
    let many = format!("{}{tag}", "\"x\", ".repeat(19));
    let single = |name: &'static str, value: String| vec![(name, value)];
    vec![
        (true, single("if-match", "*".to_owned())),
        (true, single("if-match", tag.to_owned())),
        // Votes are no part of what these methods change.
        (true, single("if-match", with_votes("4711"))),
        (true, single("if-match", with_votes("-3.1"))),
        (true, single("if-match", format!("\"{text}\""))),
        (true, single("if-match", many)),
        (true, vec![("if-match", "\"other.17\"".to_owned()), ("if-match", tag.to_owned())]),
        (true, single("if-none-match", "\"other.17\", W/\"\"".to_owned())),
        (true, vec![("if-match", tag.to_owned()), ("if-none-match", "\"other\"".to_owned())]),
        (false, single("if-match", "\"other.17\"".to_owned())),
        (false, single("if-match", format!("\"{}.17\"", &text[1..]))),
        (false, single("if-match", format!("\".{text}\""))),
        // The strong comparison (RFC 9110, 13.1.1).
        (false, single("if-match", format!("W/{tag}"))),
        (false, single("if-none-match", "*".to_owned())),
        (false, single("if-none-match", tag.to_owned())),
        (false, single("if-none-match", format!("\"other\", W/{}", with_votes("4711")))),
        (false, vec![("if-match", tag.to_owned()), ("if-none-match", tag.to_owned())]),
        (false, vec![("if-match", "\"other\"".to_owned()), ("if-none-match", "\"x\"".to_owned())]),
    ]
}

#[tokio::test]
async fn change_happens_only_if_the_post_meets_the_conditions() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for method in METHODS {
        for number in 0..conditions("\"x.0\"").len() {
            let post = ada.write_post("before").await;
            let path = format!("/posts/{post}");
            let tag = tag(&ada, &path).await;
            // A vote after the client has read the post.
            bob.vote(post, 1).await.expect(201);
            let before = ada.get(&path).await.json();
            let (is_met, headers) = &conditions(&tag)[number];
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let response = change(&ada, method, &path, &headers).await;
            let context = format!("{method} {headers:?}");
            if *is_met {
                assert_eq!(response.status, success(method), "{context}");
            } else {
                assert_eq!(response.status, 412, "{context}");
                assert_eq!(response.detail(), "the post does not meet the condition", "{context}");
                assert_eq!(ada.get(&path).await.json(), before, "{context}");
            }
        }
    }
}

/// Otherwise a stranger could find out the text of a draft, or that it exists.
#[tokio::test]
async fn refusals_come_before_conditions() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = format!("/posts/{}", ada.write_post("post").await);
    let draft = format!("/posts/{}", ada.write_draft("draft").await);
    let tags =
        [tag(&ada, &post).await, tag(&ada, &draft).await, "\"other\"".to_owned(), "*".to_owned()];
    for method in METHODS {
        for tag in &tags {
            for name in ["if-match", "if-none-match"] {
                let headers = [(name, tag.as_str())];
                for (caller, path, status) in [
                    (&bob, post.as_str(), 403),
                    (&bob, &draft, 404),
                    (&bob, "/posts/4711", 404),
                    (&ada, "/posts/4711", 404),
                    (&app.anonymous(), &post, 401),
                    (&app.with_token(&app.token_for(4711)), &post, 401),
                ] {
                    let refused = change(caller, method, path, &headers).await;
                    assert_eq!(refused.status, status, "{method} {path} {headers:?}");
                }
            }
        }
    }
    assert_eq!(ada.titles("/posts").await, ["post"]);
    assert_eq!(ada.titles("/posts?published=false").await, ["draft"]);
}

#[tokio::test]
async fn malformed_condition_gets_422_and_changes_nothing() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("before").await);
    let tag = tag(&ada, &path).await;
    let unquoted = tag.trim_matches('"');
    let many = format!("{}{tag}", "\"x\", ".repeat(20));
    let malformed =
        ["", ",", unquoted, &format!("\"{unquoted}"), "'x'", "w/\"x\"", "*, \"x\"", &many];
    let reason = "should be * or 1 to 20 entity tags";
    for method in METHODS {
        for name in ["if-match", "if-none-match"] {
            for value in malformed {
                let response = change(&ada, method, &path, &[(name, value)]).await;
                let mut errors = response.expect(422).json();
                let input = errors["detail"][0]["input"].take();
                assert!(
                    value.starts_with(input.as_str().unwrap().trim_end_matches('…')),
                    "{input}"
                );
                let expected = json!({"detail": [{
                    "type": "value_error", "loc": ["header", name], "msg": format!("Value error, {reason}"),
                    "input": Value::Null, "ctx": {"reason": reason}
                }]});
                assert_eq!(errors, expected, "{method} {name}: {value}");
            }
        }
    }
    assert_eq!(tag, self::tag(&ada, &path).await);
}

#[tokio::test]
async fn faults_of_path_headers_and_body_are_reported_together() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let request =
        ada.request("PATCH", "/posts/x").header("if-match", "x").header("if-none-match", "y");
    let response = app.send(request.body(Body::from(r#"{"title":5}"#)).unwrap()).await.expect(422);
    let errors = response.json();
    let places: Vec<_> =
        errors["detail"].as_array().unwrap().iter().map(|error| &error["loc"]).collect();
    let expected =
        [["path", "id"], ["header", "if-match"], ["header", "if-none-match"], ["body", "title"]];
    assert_eq!(json!(places), json!(expected));
}

#[tokio::test]
async fn other_writes_ignore_conditions() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    for value in ["\"other\"", "malformed"] {
        for (path, body) in [
            ("/posts", json!({"title": "", "content": ""})),
            ("/vote", json!({"post_id": post, "dir": 1})),
        ] {
            let request = ada.request("POST", path).header("if-match", value);
            let request = request.header("content-type", "application/json");
            app.send(request.body(Body::from(body.to_string())).unwrap()).await.expect(201);
        }
        ada.vote(post, 0).await.expect(201);
    }
}

/// Each client reads the post, adds itself, and tries again if the post has changed meanwhile.
#[tokio::test]
async fn conditional_changes_lose_no_update() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("").await);
    let append = async |name: char| {
        let mut refused = 0;
        loop {
            let read = ada.get(&path).await.expect(200);
            let title = format!("{}{name}", read.json()["Post"]["title"].as_str().unwrap());
            let request = ada.request("PATCH", &path).header("if-match", read.header("etag"));
            let body = Body::from(json!({"title": title}).to_string());
            let response = app.send(request.body(body).unwrap()).await;
            if response.status != 412 {
                response.expect(200);
                return refused;
            }
            refused += 1;
        }
    };
    let refused: usize = run_concurrently(('a'..='t').map(append)).await.into_iter().sum();
    let title = ada.get(&path).await.json()["Post"]["title"].as_str().unwrap().to_owned();
    let mut names: Vec<char> = title.chars().collect();
    names.sort_unstable();
    assert_eq!(names, ('a'..='t').collect::<Vec<_>>());
    assert!(refused > 0, "no change came in between");
}

/// The first request has changed the tag that its retry sends.
#[tokio::test]
async fn repeated_change_with_a_key_gets_the_first_response_although_its_tag_is_old() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for method in METHODS {
        let post = ada.write_post("before").await;
        let path = format!("/posts/{post}");
        let tag = tag(&ada, &path).await;
        let key = ("idempotency-key", method);
        let first = change(&ada, method, &path, &[("if-match", &tag), key]).await;
        assert_eq!(first.status, success(method), "{method}");
        assert_eq!(first.header("idempotent-replayed"), "", "{method}");
        if method != "DELETE" {
            ada.patch(&path, &json!({"content": "later"})).await.expect(200);
            bob.vote(post, 1).await.expect(201);
        }
        // A condition is no part of the request that the key names.
        let other = [("if-none-match", "*"), ("if-match", "\"other\"")];
        for headers in [&[("if-match", tag.as_str())][..], &other, &[]] {
            let headers = [headers, &[key]].concat();
            let again = change(&ada, method, &path, &headers).await;
            let context = format!("{method} {headers:?}");
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{context}");
            assert_eq!(again.header("etag"), first.header("etag"), "{context}");
            assert_eq!(again.header("idempotent-replayed"), "true", "{context}");
        }
        let refused = change(&ada, method, &path, &[("if-match", &tag)]).await;
        let status = if method == "DELETE" { 404 } else { 412 };
        assert_eq!(refused.status, status, "{method}");
        let malformed = change(&ada, method, &path, &[("if-match", "x"), key]).await;
        assert_eq!(malformed.status, 422, "{method}");
    }
}

/// A key of a refused change is as good as new.
#[tokio::test]
async fn change_that_failed_its_condition_is_executed_when_it_is_repeated() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for method in METHODS {
        let path = format!("/posts/{}", ada.write_post("before").await);
        let key = ("idempotency-key", method);
        let refused = change(&ada, method, &path, &[("if-match", "\"other\""), key]).await;
        assert_eq!(refused.status, 412, "{method}");
        let tag = tag(&ada, &path).await;
        let executed = change(&ada, method, &path, &[("if-match", &tag), key]).await;
        assert_eq!(executed.status, success(method), "{method}");
        assert_eq!(executed.header("idempotent-replayed"), "", "{method}");
    }
}
