//! A caller of a [`TestApp`], with or without a token.

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use serde_json::{Value, json};

use super::{PASSWORD, TestApp, TestResponse};

/// Sends requests with its token, if it has one.
pub struct TestCaller<'a> {
    app: &'a TestApp,
    pub token: Option<String>,
    /// The ID of the account; 0 without one.
    pub id: i64,
    /// The idempotency key of each request.
    pub key: Option<String>,
}

impl<'a> TestCaller<'a> {
    pub(super) fn new(app: &'a TestApp, token: Option<String>, id: i64) -> Self {
        Self { app, token, id, key: None }
    }

    pub async fn get(&self, path: &str) -> TestResponse {
        self.app.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> TestResponse {
        self.app.send(self.request("DELETE", path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> TestResponse {
        self.send_json("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> TestResponse {
        self.send_json("PUT", path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> TestResponse {
        self.send_json("PATCH", path, body).await
    }

    pub async fn change_password(&self, current: &str, new: &str) -> TestResponse {
        let change = json!({"current_password": current, "new_password": new});
        self.post("/users/me/password", &change).await
    }

    /// Changes the e-mail, confirmed with [`PASSWORD`].
    pub async fn change_email(&self, email: &str) -> TestResponse {
        let change = json!({"email": email, "current_password": PASSWORD});
        self.send_json("PATCH", "/users/me", &change).await
    }

    /// Sends a body of the given media type unchanged.
    pub async fn send_raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> TestResponse {
        let request = self.request(method, path).header("content-type", content_type);
        self.app.send(request.body(body.into()).unwrap()).await
    }

    pub async fn head(&self, path: &str) -> TestResponse {
        self.app.send(self.request("HEAD", path).body(Body::empty()).unwrap()).await
    }

    /// Creates a draft and returns its ID.
    pub async fn write_draft(&self, title: &str) -> i64 {
        let draft = json!({"title": title, "content": "text", "published": false});
        self.post("/posts", &draft).await.expect(201).json()["id"].as_i64().unwrap()
    }

    /// Returns the titles of a list, in its order.
    pub async fn titles(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await.expect(200).json();
        let title = |item: &Value| item["Post"]["title"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(title).collect()
    }

    /// Creates a published post and returns its ID.
    pub async fn write_post(&self, title: &str) -> i64 {
        let response = self.post("/posts", &json!({"title": title, "content": "text"})).await;
        response.expect(201).json()["id"].as_i64().unwrap()
    }

    pub async fn vote(&self, post: i64, dir: i64) -> TestResponse {
        self.post("/vote", &json!({"post_id": post, "dir": dir})).await
    }

    /// Returns the votes of the post, as `GET /posts/{id}` shows them.
    pub async fn votes(&self, post: i64) -> i64 {
        let response = self.get(&format!("/posts/{post}")).await.expect(200);
        response.json()["votes"].as_i64().unwrap()
    }

    async fn send_json(&self, method: &str, path: &str, body: &Value) -> TestResponse {
        self.send_raw(method, path, "application/json", body.to_string()).await
    }

    /// Sends a request that [`TestCaller::request`] has started.
    pub async fn send(&self, request: Request<Body>) -> TestResponse {
        self.app.send(request).await
    }

    /// Starts a request with the caller's token.
    pub fn request(&self, method: &str, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        match &self.key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }
}
