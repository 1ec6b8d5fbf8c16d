//! The operations of the served document, with a valid request for each.
//!
//! Tests that cover every operation use this list, so they cover a new operation without a change.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{FORM, TestApp, TestCaller, TestResponse};

/// One method of one path.
pub struct Operation {
    pub method: String,
    /// With the names of the parameters: `/posts/{id}`.
    pub path: String,
    pub access: Access,
    pub statuses: BTreeSet<u16>,
    /// Media type and a valid body, if the operation takes one.
    pub example: Option<(&'static str, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Public,
    TokenOptional,
    TokenNeeded,
}

impl Operation {
    /// Returns every operation of the document.
    pub async fn all(app: &TestApp) -> Vec<Self> {
        let document = app.anonymous().get("/openapi.json").await.expect(200).json();
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                operations.push(Self {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    access: access(described),
                    statuses: statuses(described),
                    example: example(&document, described),
                });
            }
        }
        assert!(operations.len() >= 14, "only {} operations", operations.len());
        operations
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Returns the path with this ID.
    pub fn path_to(&self, id: &str) -> String {
        self.path.replace("{id}", id)
    }

    /// Sends the request with a valid body.
    pub async fn call(&self, caller: &TestCaller<'_>, id: &str) -> TestResponse {
        let path = self.path_to(id);
        match &self.example {
            Some((media_type, body)) => {
                caller.send_raw(&self.method, &path, media_type, body.clone()).await
            }
            None => caller.send_raw(&self.method, &path, "", "").await,
        }
    }

    /// Like [`Operation::call`], with the header `If-None-Match: *`.
    pub async fn call_if_none_match(&self, caller: &TestCaller<'_>, id: &str) -> TestResponse {
        let (media_type, body) = self.example.clone().unwrap_or_default();
        let request = caller.request(&self.method, &self.path_to(id));
        let request = request.header("content-type", media_type).header("if-none-match", "*");
        caller.send(request.body(body.into()).unwrap()).await
    }
}

fn access(described: &Value) -> Access {
    let Some(schemes) = described["security"].as_array() else {
        return Access::Public;
    };
    if schemes.iter().any(|scheme| scheme.as_object().unwrap().is_empty()) {
        return Access::TokenOptional;
    }
    Access::TokenNeeded
}

fn statuses(described: &Value) -> BTreeSet<u16> {
    described["responses"].as_object().unwrap().keys().map(|code| code.parse().unwrap()).collect()
}

fn example(document: &Value, described: &Value) -> Option<(&'static str, String)> {
    let content = described["requestBody"]["content"].as_object()?;
    let resolve = |media: &Value| {
        let reference = media["schema"]["$ref"].as_str().unwrap();
        document.pointer(reference.trim_start_matches('#')).unwrap().clone()
    };
    if let Some(media) = content.get("application/json") {
        return Some(("application/json", resolve(media)["example"].to_string()));
    }
    let schema = resolve(&content[FORM]);
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, property) in schema["properties"].as_object().unwrap() {
        if let Some(value) = property["example"].as_str() {
            form.append_pair(name, value);
        }
    }
    Some((FORM, form.finish()))
}
