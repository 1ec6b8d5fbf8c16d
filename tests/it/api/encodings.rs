//! The routes on PostgreSQL databases whose encoding is not UTF8. A text that the encoding lacks is
//! the client's error in every field, and does not harm other requests.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Cluster, ENCODINGS, Encoding, PASSWORD, TestApp, TestCaller};

#[tokio::test]
async fn texts_of_the_encoding_are_stored_and_found() {
    for encoding in ENCODINGS {
        let app = TestApp::on(Cluster::shared().upgraded_database_in(encoding.name));
        assert_eq!(app.anonymous().get("/readyz").await.status, 200, "{}", encoding.name);
        let email = format!("{}@example.com", encoding.has);
        let account = json!({"email": email, "password": PASSWORD});
        let id = app.anonymous().post("/users", &account).await.expect(201).json()["id"].clone();
        let login = app.log_in(&email, PASSWORD).await.expect(200).json();
        let ada = app.with_token(login["access_token"].as_str().unwrap());
        assert_eq!(ada.get("/users/me").await.expect(200).json()["email"], email);
        // The search index takes the words with three ASCII letters.
        for (title, search) in [
            (format!("a {}", encoding.has), encoding.has.to_owned()),
            (format!("word {} other", encoding.has), format!("word {}", encoding.has)),
        ] {
            let post = json!({"title": title, "content": encoding.has});
            let post = ada.post("/posts", &post).await.expect(201).json();
            ada.vote(post["id"].as_i64().unwrap(), 1).await.expect(201);
            // A condition and a key compare and keep the text.
            let path = format!("/posts/{}", post["id"]);
            let tag = ada.get(&path).await.expect(200).header("etag").to_owned();
            let update = |key: &str| {
                let request = ada.request("PATCH", &path).header("if-match", &tag);
                let request = request.header("idempotency-key", key.to_owned());
                app.send(request.body(r#"{"published":true}"#.into()).unwrap())
            };
            for replayed in ["", "true"] {
                let updated = update(&path).await.expect(200);
                assert_eq!(updated.json(), post, "{}", encoding.name);
                assert_eq!(updated.header("etag"), tag, "{}", encoding.name);
                assert_eq!(updated.header("idempotent-replayed"), replayed, "{}", encoding.name);
            }
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("search", &search)
                .finish();
            let found = ada.get(&format!("/posts?{query}")).await.expect(200).json();
            assert!(
                found.as_array().unwrap().iter().any(|hit| {
                    hit["Post"]["title"] == title
                        && hit["Post"]["owner_id"] == id
                        && hit["votes"] == 1
                }),
                "{}: {found}",
                encoding.name
            );
        }
        assert_eq!(ada.titles("/posts").await.len(), 2, "{}", encoding.name);
    }
}

#[tokio::test]
async fn text_beyond_the_encoding_is_a_client_error_in_every_field() {
    for Encoding { name, lacks, .. } in ENCODINGS {
        let Some(lacks) = lacks else { continue };
        let app = TestApp::on(Cluster::shared().upgraded_database_in(name));
        let ada = app.signed_in("ada").await;
        let id = ada.write_post("post").await;
        let email = format!("{lacks}@example.com");
        let rejected = [
            ("title", ada.post("/posts", &json!({"title": lacks, "content": "c"})).await, "body"),
            ("content", ada.post("/posts", &json!({"title": "t", "content": lacks})).await, "body"),
            (
                "replace",
                ada.put(&format!("/posts/{id}"), &json!({"title": lacks, "content": "c"})).await,
                "body",
            ),
            (
                "update",
                ada.patch(&format!("/posts/{id}"), &json!({"content": lacks})).await,
                "body",
            ),
            ("search", search(&ada, lacks).await, "search"),
            ("long search", search(&ada, &format!("word {lacks}")).await, "search"),
            (
                "sign-up",
                app.anonymous()
                    .post("/users", &json!({"email": email, "password": PASSWORD}))
                    .await,
                "email",
            ),
            ("e-mail", ada.change_email(&email).await, "email"),
        ];
        for (field, response, location) in rejected {
            let context = format!("{name}, {field}");
            assert_eq!(response.status, 422, "{context}: {}", response.text());
            let error = &response.json()["detail"][0];
            assert_eq!(error["type"], "value_error", "{context}");
            assert_eq!(error["loc"].as_array().unwrap().last().unwrap(), location, "{context}");
        }
        for username in [lacks, &email] {
            let unknown = app.log_in("unknown@example.com", PASSWORD).await.expect(403);
            let response = app.log_in(username, PASSWORD).await.expect(403);
            assert_eq!(response.text(), unknown.text(), "{name}");
        }
        assert_eq!(ada.titles("/posts").await, ["post"], "{name}");
    }
}

async fn search(caller: &TestCaller<'_>, text: &str) -> crate::support::TestResponse {
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("search", text).finish();
    caller.get(&format!("/posts?{query}")).await
}

/// As for any invalid request.
#[tokio::test]
async fn revoked_token_comes_before_text_beyond_the_encoding() {
    let app = TestApp::on(Cluster::shared().upgraded_database_in("LATIN1"));
    let ada = app.signed_in("ada").await;
    let id = ada.write_post("post").await;
    ada.post("/logout", &json!({})).await.expect(204);
    let post = json!({"title": "ж", "content": "c"});
    for response in [
        ada.post("/posts", &post).await,
        ada.put(&format!("/posts/{id}"), &post).await,
        search(&ada, "ж").await,
    ] {
        assert_eq!(response.status, 401, "{}", response.text());
    }
}

/// Concurrent posts share a statement.
#[tokio::test]
async fn text_beyond_the_encoding_harms_no_other_request() {
    let app = TestApp::on(Cluster::shared().upgraded_database_in("LATIN1"));
    let ada = app.signed_in("ada").await;
    let texts = ["good", "ж", "also good", "ж", "last"];
    let posts = texts.map(|text| json!({"title": text, "content": "c"}));
    for _ in 0..5 {
        let responses = join_all(posts.iter().map(|post| ada.post("/posts", post))).await;
        let statuses: Vec<u16> =
            responses.iter().map(|response| response.status.as_u16()).collect();
        assert_eq!(statuses, [201, 422, 201, 422, 201]);
    }
    assert_eq!(ada.titles("/posts").await.len(), 15);
}

/// The user agent is no part of the form, so it refuses no login.
#[tokio::test]
async fn user_agent_beyond_the_encoding_is_replaced() {
    let app = TestApp::on(Cluster::shared().upgraded_database_in("LATIN1"));
    app.sign_up("ada").await;
    let form =
        [("username", "ada@example.com"), ("password", PASSWORD), ("scope", "offline_access")];
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = app.anonymous().request("POST", "/login");
    let request = request.header("content-type", crate::support::FORM);
    let agent = axum::http::HeaderValue::from_bytes("Браузер 7".as_bytes()).unwrap();
    let request = request.header("user-agent", agent).body(axum::body::Body::from(form)).unwrap();
    let login = app.send(request).await.expect(200).json();
    let ada = app.with_token(login["access_token"].as_str().unwrap());
    let sessions: Value = ada.get("/users/me/sessions").await.expect(200).json();
    assert_eq!(sessions[0]["user_agent"], "??????? 7");
}
