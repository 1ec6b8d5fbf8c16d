//! Whether an answer is one that the served document promises: its status, its type, its shape.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Request};
use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use post_api::domain::email::Email;
use serde_json::{Value, json};

use crate::service::Service;
use crate::support::Answer;

/// Routes that the document does not describe, being where it is read.
const PAGES: [&str; 4] = ["/openapi.json", "/docs", "/docs/{file}", "/redoc"];

pub(crate) struct Judge {
    operations: Vec<Operation>,
    /// Of what answers where no operation does, or before one is found.
    refusal: Validator,
    invalid: Validator,
}

struct Operation {
    method: String,
    /// `/posts/{id}`
    path: String,
    /// The shape of the body, if there is to be one.
    answers: BTreeMap<u16, Option<Validator>>,
}

impl Judge {
    /// Knows what the service says of itself.
    pub(crate) fn of(service: &Service) -> Self {
        let request = Request::builder().uri("/openapi.json").body(Body::empty()).unwrap();
        Self::new(&service.send(request).json())
    }

    fn new(document: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.trim_end_matches('/').to_owned(),
                    answers: answers(document, described),
                });
            }
        }
        // `/users/me` is meant before `/users/{id}`.
        operations.sort_by_key(|operation| operation.path.contains('{'));
        let named = |name: &str| {
            validator(document, &json!({"$ref": format!("#/components/schemas/{name}")}))
        };
        Self { operations, refusal: named("Refusal"), invalid: named("HTTPValidationError") }
    }

    /// Method and path of each operation.
    pub(crate) fn operations(&self) -> Vec<(String, String)> {
        let name = |operation: &Operation| (operation.method.clone(), operation.path.clone());
        self.operations.iter().map(name).collect()
    }

    /// Panics unless a request like that may be answered like this.
    pub(crate) fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let at_path = |operation: &&Operation| fits(&operation.path, path);
        let mut operations = self.operations.iter().filter(at_path).peekable();
        let is_page = PAGES.iter().any(|page| fits(page, path));
        let is_nowhere = operations.peek().is_none() && !is_page;
        // A HEAD is a GET whose body is kept back (RFC 9110, 9.3.2).
        let is_head = method == Method::HEAD;
        let asked = if is_head { "GET" } else { method.as_str() };
        if let Some(operation) = operations.find(|operation| operation.method == asked) {
            return operation.check(answer, is_head);
        }
        let reads = asked == "GET";
        let status = answer.status.as_u16();
        match status {
            200 if is_page && reads => return,
            404 if is_nowhere || (is_page && reads) => {}
            405 if !is_nowhere && !answer.header("allow").is_empty() => {}
            _ => panic!("{method} {path}: {answer:?}"),
        }
        if !is_head {
            assert_shape(&self.refusal, answer);
        }
    }

    /// The same where nobody knows what was asked: a refusal has the shape of one, or no body if
    /// it was no request at all.
    pub(crate) fn check_any(&self, answer: &Answer) {
        assert!(answer.status.as_u16() < 500, "{answer:?}");
        if !answer.status.is_client_error() || answer.body.is_empty() {
            return;
        }
        let validator = if answer.status == 422 { &self.invalid } else { &self.refusal };
        assert_shape(validator, answer);
    }
}

impl Operation {
    fn check(&self, answer: &Answer, is_head: bool) {
        let status = answer.status.as_u16();
        // They are described: nothing that a client sends may bring them about.
        assert!(status < 500, "{} {}: {answer:?}", self.method, self.path);
        let Some(shape) = self.answers.get(&status) else {
            panic!("{} {} is not described to answer {answer:?}", self.method, self.path);
        };
        match shape {
            Some(shape) if !is_head => assert_shape(shape, answer),
            _ => assert!(answer.body.is_empty(), "a body: {answer:?}"),
        }
    }
}

fn answers(document: &Value, described: &Value) -> BTreeMap<u16, Option<Validator>> {
    let responses = described["responses"].as_object().unwrap();
    let answer = |(status, response): (&String, &Value)| {
        let shape = response["content"].as_object().map(|content| {
            let media = content.get("application/json").expect("every body is JSON");
            validator(document, &media["schema"])
        });
        (status.parse().unwrap(), shape)
    };
    responses.iter().map(answer).collect()
}

/// A schema of the document, which refers to others of it.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        // Addresses are international ones, for which the document has the reference's word.
        .with_format("email", |text: &str| Email::parse(text).is_ok())
        .build(&whole)
        .unwrap()
}

fn assert_shape(shape: &Validator, answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    if let Err(error) = shape.validate(&answer.json()) {
        panic!("{error}: {answer:?}");
    }
}

/// Whether a path leads to the route. Letters may be percent-encoded, and a slash may follow.
fn fits(route: &str, path: &str) -> bool {
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let mut parts = path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy());
    let is_like = |expected: &str, part: &str| match expected.strip_prefix('{') {
        Some(_) => !part.is_empty(),
        None => expected == part,
    };
    route.split('/').all(|expected| parts.next().is_some_and(|part| is_like(expected, &part)))
        && parts.next().is_none()
}
