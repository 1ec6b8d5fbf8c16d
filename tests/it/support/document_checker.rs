//! Holds every request and response of the tests against the OpenAPI document of the service.
//!
//! A response must have a documented status, media type, headers and body. A request that the service
//! accepts must have documented parameters and a documented body. All schemas count as closed, so an
//! undocumented field is an error.
//!
//! Not here: how a value is compared with its schema, see `document_schema.rs`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::TestResponse;
use super::document_schema::{Schemas, convert, convert_fields, essence, form_fields};

/// Routes that the document leaves out: the pages.
const UNDOCUMENTED: &str =
    "/ /admin /app.css /app.js /app/{file} /docs /docs/{file} /openapi.json /redoc";

/// Headers that the introduction of the document or a standard describes for every response.
const COMMON_HEADERS: [&str; 13] = [
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
    "allow",
];

/// Names with which tests check that unknown parameters and fields are ignored.
const IGNORED_NAMES: [&str; 19] = [
    "_method",
    "a",
    "content",
    "created_at",
    "current_password",
    "dir",
    "email",
    "id",
    "is_admin",
    "limit",
    "new_password",
    "owner_id",
    "post_id",
    "published",
    "search",
    "skip",
    "title",
    "unknown",
    "votes",
];

/// A request as the service has read it.
pub struct SentRequest {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The part of the body that was read.
    pub body: Vec<u8>,
}

impl SentRequest {
    /// Returns the request to send, and a function that returns what the service has read of it.
    pub fn record(request: Request<Body>) -> (Request<Body>, impl FnOnce() -> Self) {
        let (parts, body) = request.into_parts();
        let (method, uri, headers) =
            (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
        let read = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&read);
        // Inspecting keeps the announced size of the body.
        let body = Body::new(body.inspect_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                sink.lock().unwrap().extend_from_slice(data);
            }
        }));
        let sent = move || {
            let body = std::mem::take(&mut *read.lock().unwrap());
            Self { method, uri, headers, body }
        };
        (Request::from_parts(parts, body), sent)
    }
}

pub struct DocumentChecker {
    document: Value,
    operations: Vec<Operation>,
    schemas: Schemas,
    prefix: String,
}

struct Operation {
    method: String,
    /// `/posts/{id}`
    path: String,
    described: Value,
}

impl DocumentChecker {
    /// Returns the checker for this document. Equal documents share one.
    pub fn of(document: &str) -> Arc<Self> {
        static CHECKERS: LazyLock<Mutex<HashMap<String, Arc<DocumentChecker>>>> =
            LazyLock::new(Mutex::default);
        let mut checkers = CHECKERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let checker = checkers.entry(document.to_owned());
        Arc::clone(checker.or_insert_with(|| Arc::new(Self::new(document))))
    }

    fn new(document: &str) -> Self {
        let document: Value = serde_json::from_str(document).unwrap();
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.trim_end_matches('/').to_owned(),
                    described: described.clone(),
                });
            }
        }
        // `/users/me` takes precedence over `/users/{id}`.
        operations.sort_by_key(|operation| operation.path.contains('{'));
        let prefix = document["servers"][0]["url"].as_str().unwrap_or_default().to_owned();
        Self { schemas: Schemas::new(&document), document, operations, prefix }
    }

    /// Panics unless the document describes the request, if the response has accepted it.
    #[track_caller]
    pub fn check_request(&self, request: &SentRequest, response: &TestResponse) {
        if response.status.is_success()
            && let Some(operation) = self.operation(&request.method, request.uri.path())
            && let Err(difference) = self.compare_request(operation, request)
        {
            let SentRequest { method, uri, body, .. } = request;
            let body = String::from_utf8_lossy(body);
            panic!("{method} {uri} was accepted, but not as documented: {difference}: {body}");
        }
    }

    /// Panics unless the document describes the response.
    #[track_caller]
    pub fn check_response(&self, request: &SentRequest, response: &TestResponse) {
        let SentRequest { method, uri, .. } = request;
        let path = uri.path();
        if let Err(difference) = self.compare_response(request, response) {
            panic!("{method} {path} is not answered as documented: {difference}: {response:?}");
        }
    }

    /// Checks a response whose request is unknown. An error has the schema of an error, or no body
    /// if the input was no valid request.
    #[track_caller]
    pub fn check_unmatched_response(&self, response: &TestResponse) {
        assert!(response.status.as_u16() != 500, "{response:?}");
        if !response.status.is_client_error() || response.body.is_empty() {
            return;
        }
        let name = if response.status == 422 { "HTTPValidationError" } else { "LoginRefusal" };
        self.schemas.check_component(name, &response.json()).unwrap();
    }

    fn operation<'a>(&'a self, method: &Method, path: &'a str) -> Option<&'a Operation> {
        // A HEAD is a GET without the body of its response (RFC 9110, 9.3.2).
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        // Some paths are those of two operations, of which one has other methods.
        let mut at_path = self.at_path(path).peekable();
        let first = at_path.peek()?.path.clone();
        at_path.find(|operation| operation.path == first && operation.method == method)
    }

    fn at_path<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().filter(move |operation| self.is_at(&operation.path, path))
    }

    /// Returns whether the path matches the route, with or without the prefix of the API.
    fn is_at(&self, route: &str, path: &str) -> bool {
        let prefixed = format!("{}{route}", self.prefix);
        matches(route, path) || matches(prefixed.trim_end_matches('/'), path)
    }

    fn compare_response(
        &self,
        request: &SentRequest,
        response: &TestResponse,
    ) -> Result<(), String> {
        let SentRequest { method, uri, headers, .. } = request;
        let is_head = method == Method::HEAD;
        let is_preflight = method == Method::OPTIONS
            && headers.contains_key("origin")
            && headers.contains_key("access-control-request-method");
        if is_preflight && response.status == 200 {
            return Ok(());
        }
        if let Some(operation) = self.operation(method, uri.path())
            && !is_rejected_head(response)
        {
            return self.compare_with(&operation.described, is_head, response);
        }
        let path = uri.path();
        let is_page = UNDOCUMENTED.split(' ').any(|page| self.is_at(page, path));
        let is_known = self.at_path(path).next().is_some();
        match response.status.as_u16() {
            200 | 304 if is_page => return Ok(()),
            400 | 431 | 501 | 503 if is_rejected_head(response) => {}
            404 if !is_known => {}
            405 if is_known || is_page => {
                if response.header("allow").is_empty() {
                    return Err("405 without Allow".to_owned());
                }
            }
            503 if is_page => {}
            _ => return Err("the operation is not documented".to_owned()),
        }
        if is_head || response.body.is_empty() {
            return Ok(());
        }
        self.schemas.check_component("Refusal", &response.json())
    }

    fn compare_with(
        &self,
        operation: &Value,
        is_head: bool,
        response: &TestResponse,
    ) -> Result<(), String> {
        let described = &operation["responses"][response.status.as_str()];
        if !described.is_object() {
            return Err("the status is not documented".to_owned());
        }
        compare_headers(described, response)?;
        let media_type = response.header("content-type");
        let Some(content) = described["content"].as_object() else {
            let is_empty = response.body.is_empty() && media_type.is_empty();
            return if is_empty { Ok(()) } else { Err("a body is not documented".to_owned()) };
        };
        let media = content.get(media_type).ok_or("the media type is not documented")?;
        if is_head {
            return if response.body.is_empty() { Ok(()) } else { Err("HEAD has a body".into()) };
        }
        if media_type == "application/jsonl" {
            return self.schemas.check_lines("ExportLine", response.text());
        }
        if media_type == "text/event-stream" {
            return self.schemas.check(&media["schema"], &Value::from(response.text()));
        }
        self.schemas.check(&media["schema"], &response.json())
    }

    fn compare_request(&self, operation: &Operation, request: &SentRequest) -> Result<(), String> {
        let described = &operation.described;
        let needs_token = described["security"].as_array().is_some_and(|schemes| {
            schemes.iter().all(|scheme| scheme.get("OAuth2PasswordBearer").is_some())
        });
        if needs_token != request.headers.contains_key(AUTHORIZATION) && needs_token {
            return Err("no token is documented as needed".to_owned());
        }
        self.compare_parameters(operation, request)?;
        self.compare_body(&described["requestBody"], request)
    }

    fn compare_parameters(
        &self,
        operation: &Operation,
        request: &SentRequest,
    ) -> Result<(), String> {
        let parameters = operation.described["parameters"].as_array().cloned().unwrap_or_default();
        let find = |place: &str, name: &str| {
            parameters.iter().find(|known| known["in"] == place && known["name"] == name)
        };
        let path = request.uri.path().trim_end_matches('/');
        if operation.path.contains('{') {
            let text = path.rsplit('/').next().unwrap_or_default();
            let text = percent_decode_str(text).decode_utf8_lossy();
            let schema = &find("path", "id").ok_or("the ID is not documented")?["schema"];
            self.schemas.check(schema, &convert(schema, Value::from(text.as_ref())))?;
        }
        let query = request.uri.query().unwrap_or_default();
        let query: Map<String, Value> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
            .collect();
        for (name, value) in query {
            match find("query", &name).map(|parameter| &parameter["schema"]) {
                Some(schema) => self.schemas.check(schema, &convert(schema, value))?,
                None if is_ignored(&name) => {}
                None => return Err(format!("{name} is not documented")),
            }
        }
        Ok(())
    }

    fn compare_body(&self, described: &Value, request: &SentRequest) -> Result<(), String> {
        // Another body may be ignored, by the policy or because of a header.
        if described["required"] != true {
            return Ok(());
        }
        if request.body.is_empty() {
            return Err("the body is missing".to_owned());
        }
        let content = described["content"].as_object().ok_or("no body is documented")?;
        let media_type = request.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        let sent = media_type.filter(|text| !text.is_empty()).unwrap_or("application/json");
        let is_json = essence(sent).ends_with("json");
        // A form means the same with and without parameters of its media type.
        let media = content.iter().filter(|(documented, _)| {
            if is_json {
                essence(documented) == "application/json"
            } else {
                essence(documented) == essence(sent)
            }
        });
        let fields = if is_json {
            let text = request.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&request.body);
            serde_json::from_slice(text).map_err(|error| error.to_string())?
        } else {
            form_fields(sent, &request.body)
        };
        let Value::Object(fields) = fields else {
            return Err("the body is no object".to_owned());
        };
        let mut difference = format!("the media type {sent} is not documented");
        for (_, media) in media {
            let schema = &media["schema"];
            let fields = convert_fields(&self.document, schema, fields.clone(), is_ignored);
            match self.schemas.check(schema, &fields) {
                Ok(()) => return Ok(()),
                Err(other) => difference = other,
            }
        }
        Err(difference)
    }
}

/// Returns whether a test uses the name for an unknown parameter or field. A name with other letters
/// could be no parameter.
fn is_ignored(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    IGNORED_NAMES.contains(&name) || name.is_empty() || !name.bytes().all(is_plain)
}

/// Returns whether the request was rejected before its operation, as the introduction describes.
fn is_rejected_head(response: &TestResponse) -> bool {
    match response.status {
        StatusCode::NOT_IMPLEMENTED | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => true,
        StatusCode::BAD_REQUEST => response.text().contains("the Host of"),
        StatusCode::SERVICE_UNAVAILABLE => response.text().contains("is overloaded"),
        _ => false,
    }
}

fn compare_headers(described: &Value, response: &TestResponse) -> Result<(), String> {
    let documented = described["headers"].as_object().cloned().unwrap_or_default();
    for (name, header) in &documented {
        let value = response.header(&name.to_ascii_lowercase());
        if name == "Idempotent-Replayed" && ["", "true"].contains(&value) {
            continue;
        }
        let is_number = value.parse::<u64>().is_ok();
        // A list without other pages has no links.
        if value.is_empty() && name == "Link" {
            continue;
        }
        if value.is_empty() || (header["schema"]["type"] == "integer" && !is_number) {
            return Err(format!("{name} is documented, and is {value:?}"));
        }
    }
    for name in response.headers.keys() {
        let name = name.as_str();
        let is_documented = documented.keys().any(|known| known.eq_ignore_ascii_case(name));
        let is_common = COMMON_HEADERS.contains(&name) || name.starts_with("access-control-");
        let is_default = name == "cache-control" && response.header(name) == "no-store";
        if !is_documented && !is_common && !is_default {
            return Err(format!("the header {name} is not documented"));
        }
    }
    Ok(())
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
