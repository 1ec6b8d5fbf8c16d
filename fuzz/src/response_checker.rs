//! Checks that the served OpenAPI document describes a response: its status, content type and
//! schema.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Request};
use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use post_api::domain::email::Email;
use serde_json::{Value, json};

use crate::service::Service;
use crate::support::TestResponse;

/// Routes of the documentation, which the document does not describe.
const DOCUMENTATION_ROUTES: [&str; 4] = ["/openapi.json", "/docs", "/docs/{file}", "/redoc"];

pub(crate) struct ResponseChecker {
    operations: Vec<Operation>,
    /// For errors outside of an operation, such as an unknown route.
    error: Validator,
    /// For responses with the status 422.
    validation_error: Validator,
}

struct Operation {
    method: String,
    /// `/posts/{id}`
    path: String,
    /// The schema of the body for each status; `None` if the response has no body.
    responses: BTreeMap<u16, Option<Validator>>,
}

impl ResponseChecker {
    /// Reads the document that the service serves.
    pub(crate) fn for_service(service: &Service) -> Self {
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
                    responses: responses(document, described),
                });
            }
        }
        // `/users/me` takes precedence over `/users/{id}`.
        operations.sort_by_key(|operation| operation.path.contains('{'));
        let component = |name: &str| {
            validator(document, &json!({"$ref": format!("#/components/schemas/{name}")}))
        };
        Self {
            operations,
            error: component("Refusal"),
            validation_error: component("HTTPValidationError"),
        }
    }

    /// Returns the method and path of each operation.
    pub(crate) fn operations(&self) -> Vec<(String, String)> {
        let name = |operation: &Operation| (operation.method.clone(), operation.path.clone());
        self.operations.iter().map(name).collect()
    }

    /// Panics unless the document describes the response to this request.
    pub(crate) fn check_response(&self, method: &Method, path: &str, response: &TestResponse) {
        let at_path = |operation: &&Operation| matches(&operation.path, path);
        let mut operations = self.operations.iter().filter(at_path).peekable();
        let is_page = DOCUMENTATION_ROUTES.iter().any(|page| matches(page, path));
        let is_unknown = operations.peek().is_none() && !is_page;
        // A HEAD is a GET without the body of its response (RFC 9110, section 9.3.2).
        let is_head = method == Method::HEAD;
        let effective_method = if is_head { "GET" } else { method.as_str() };
        if let Some(operation) = operations.find(|operation| operation.method == effective_method) {
            return operation.check_response(response, is_head);
        }
        let is_get = effective_method == "GET";
        let status = response.status.as_u16();
        match status {
            200 if is_page && is_get => return,
            404 if is_unknown || (is_page && is_get) => {}
            405 if !is_unknown && !response.header("allow").is_empty() => {}
            _ => panic!("{method} {path}: {response:?}"),
        }
        if !is_head {
            assert_schema(&self.error, response);
        }
    }

    /// Checks a response whose request is unknown. An error has the schema of an error, or no body
    /// if the input was no valid request.
    pub(crate) fn check_unmatched_response(&self, response: &TestResponse) {
        assert!(response.status.as_u16() < 500, "{response:?}");
        if !response.status.is_client_error() || response.body.is_empty() {
            return;
        }
        let validator = if response.status == 422 { &self.validation_error } else { &self.error };
        assert_schema(validator, response);
    }
}

impl Operation {
    fn check_response(&self, response: &TestResponse, is_head: bool) {
        let status = response.status.as_u16();
        // The document describes 5xx, but no input of a client may cause one.
        assert!(status < 500, "{} {}: {response:?}", self.method, self.path);
        let Some(schema) = self.responses.get(&status) else {
            panic!("{} {} has an undescribed response: {response:?}", self.method, self.path);
        };
        match schema {
            Some(schema) if !is_head => assert_schema(schema, response),
            _ => assert!(response.body.is_empty(), "unexpected body: {response:?}"),
        }
    }
}

fn responses(document: &Value, described: &Value) -> BTreeMap<u16, Option<Validator>> {
    let responses = described["responses"].as_object().unwrap();
    let response = |(status, described): (&String, &Value)| {
        let schema = described["content"].as_object().map(|content| {
            let media_type = content.get("application/json").expect("every described body is JSON");
            validator(document, &media_type["schema"])
        });
        (status.parse().unwrap(), schema)
    };
    responses.iter().map(response).collect()
}

/// Compiles a schema of the document, with the components that it refers to.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        // Internationalized e-mails are valid too. The document keeps the format name of the
        // reference service, which stands for ASCII only.
        .with_format("email", |text: &str| Email::parse(text).is_ok())
        .build(&whole)
        .unwrap()
}

fn assert_schema(schema: &Validator, response: &TestResponse) {
    assert_eq!(response.header("content-type"), "application/json", "{response:?}");
    if let Err(error) = schema.validate(&response.json()) {
        panic!("{error}: {response:?}");
    }
}

/// Returns whether the path matches the route. A path may be percent-encoded and end with a slash.
fn matches(route: &str, path: &str) -> bool {
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let mut parts = path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy());
    let part_matches = |expected: &str, part: &str| match expected.strip_prefix('{') {
        Some(_) => !part.is_empty(),
        None => expected == part,
    };
    route.split('/').all(|expected| parts.next().is_some_and(|part| part_matches(expected, &part)))
        && parts.next().is_none()
}
