//! Writes the OpenAPI document of the API, for the settings in force.
//!
//! Not here: its operations, see `mod.rs`; the description of each operation, see its handler; what
//! depends on the settings, see `document_policy.rs`.

use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, ServerBuilder};
use utoipa::{Modify, OpenApi as _};

use super::{ApiDocument, document_policy};
use crate::domain::policy::Policy;

pub const TITLE: &str = "Post Management API";

/// Returns the document as JSON, for an API under this policy that a proxy serves below `root_path`.
#[must_use]
pub fn document(root_path: &str, policy: &Policy) -> String {
    let mut document = ApiDocument::openapi();
    if !root_path.is_empty() {
        document.servers = Some(vec![ServerBuilder::new().url(root_path).build()]);
    }
    // Serializing cannot fail: every key of a map is a string.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    describe_grants(&mut document);
    describe_account_change(&mut document);
    add_validation_examples(&mut document);
    describe_revalidation(&mut document);
    describe_headers(&mut document);
    document_policy::apply(&mut document, policy);
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Declares the OAuth2 password flow at `/login`, and its refresh.
pub(super) struct PasswordFlow;

impl Modify for PasswordFlow {
    fn modify(&self, document: &mut Document) {
        let scopes = Scopes::one(
            "offline_access",
            "Stay logged in: the response to the login has a refresh token",
        );
        let flow = Flow::Password(Password::with_refresh_url("login", scopes, "login"));
        let scheme = SecurityScheme::OAuth2(OAuth2::new([flow]));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("OAuth2PasswordBearer", scheme);
    }
}

/// Describes both grants of the login. The wire contract fixes the entry of the plain form type as
/// the password grant. The type with a parameter means the same form, so it has both grants. In a
/// multipart form both are one schema, because generated clients cannot send a choice of two.
fn describe_grants(document: &mut Value) {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let password = document.pointer("/components/schemas/Body_login_login_post/properties");
    let refresh = document.pointer("/components/schemas/RefreshTokenGrant/properties");
    let fields = [password, refresh].into_iter().flatten().filter_map(Value::as_object);
    let mut properties: Map<String, Value> =
        fields.flatten().map(|(name, schema)| (name.clone(), schema.clone())).collect();
    properties.insert(
        "grant_type".to_owned(),
        json!({"type": "string", "pattern": "^(password|refresh_token)$"}),
    );
    let form = json!({
        "title": "LoginForm",
        "description": "The password grant, or the refresh token grant.",
        "type": "object",
        "properties": properties,
        "if": {
            "required": ["grant_type", "refresh_token"],
            "properties": {"grant_type": {"const": "refresh_token"}},
        },
        "else": {
            "required": ["username", "password"],
            "properties": {"grant_type": {"const": "password"}},
        },
    });
    if let Some(content) = document.pointer_mut("/paths/~1login/post/requestBody/content") {
        content["application/x-www-form-urlencoded; charset=utf-8"] = json!({"schema": {
            "oneOf": [reference("Body_login_login_post"), reference("RefreshTokenGrant")]
        }});
        content["multipart/form-data"] = json!({"schema": reference("LoginForm")});
    }
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        schemas["LoginForm"] = form;
    }
}

/// Describes the entity tag of every read, and the response to a client that has it. Health checks
/// have none, nor has the administration, whose numbers change with each request. Neither has a
/// stream: the service never holds all of it.
fn describe_revalidation(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let reads = paths.filter_map(|path| path.get_mut("get"));
    let is_tagged = |read: &&mut Value| {
        let content = read.pointer("/responses/200/content").and_then(Value::as_object);
        let is_stream = content.is_some_and(|content| {
            ["application/jsonl", "text/event-stream"]
                .iter()
                .any(|kind| content.contains_key(*kind))
        });
        let is_untagged =
            ["Health", "Administration"].iter().any(|tag| read["tags"] == json!([tag]));
        !is_untagged && !is_stream
    };
    for read in reads.filter(is_tagged) {
        let known = json!({
            "name": "If-None-Match",
            "in": "header",
            "required": false,
            "description": "Entity tags of responses that the client has, or `*`",
            "schema": {"type": "string"},
        });
        match read["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(known),
            None => read["parameters"] = json!([known]),
        }
        let Some(responses) = read.get_mut("responses") else { continue };
        if let Some(current) = responses.get_mut("200") {
            let mut headers = current["headers"].as_object().cloned().unwrap_or_default();
            let tag = json!({
                "schema": {"type": "string"},
                "description": "The version of the response",
            });
            headers.insert("ETag".to_owned(), tag);
            current["headers"] = json!(headers);
            responses["304"] = json!({
                "description": "The client has the current response",
                "headers": headers,
            });
        }
    }
}

/// Gives every optional header the type of a text. A generated client would take a missing tag for
/// `null`, and leave the condition out.
fn describe_headers(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    let parameters = operations.filter_map(|operation| operation.get_mut("parameters"));
    for parameter in parameters.filter_map(Value::as_array_mut).flatten() {
        let is_header = parameter["in"] == "header";
        if let Some(kind) = parameter.pointer_mut("/schema/type").filter(|_| is_header) {
            *kind = json!("string");
        }
    }
}

/// Requires what the change of an account requires: an e-mail needs the password, and without an
/// e-mail there is a name.
fn describe_account_change(document: &mut Value) {
    if let Some(change) = document.pointer_mut("/components/schemas/MeUpdate") {
        change["if"] = json!({"required": ["email"]});
        change["then"] = json!({"required": ["current_password"]});
        change["else"] = json!({"required": ["name"]});
    }
}

/// Gives each operation an example of status 422 about a field of its own.
fn add_validation_examples(document: &mut Value) {
    let components = document["components"].clone();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        let Some(error) = validation_error(operation, &components) else { continue };
        if let Some(media) = operation.pointer_mut("/responses/422/content/application~1json") {
            media["example"] = json!({"detail": [error]});
        }
    }
}

fn validation_error(operation: &Value, components: &Value) -> Option<Value> {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = parameters.first();
    let is_boolean = first.is_some_and(|first| first["schema"].to_string().contains("boolean"));
    match first.map(|first| (&first["in"], &first["name"])) {
        Some((place, name)) if place == "path" => Some(json!({
            "type": "int_parsing",
            "loc": ["path", name],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "input": "x"
        })),
        Some((place, name)) if place == "query" && name == "include" => Some(json!({
            "type": "literal_error",
            "loc": ["query", name],
            "msg": "Input should be 'verified'",
            "input": "x",
            "ctx": {"expected": "'verified'"}
        })),
        Some((place, name)) if place == "query" && is_boolean => Some(json!({
            "type": "bool_parsing",
            "loc": ["query", name],
            "msg": "Input should be a valid boolean, unable to interpret input",
            "input": "maybe"
        })),
        Some((place, name)) if place == "query" => Some(json!({
            "type": "greater_than_equal",
            "loc": ["query", name],
            "msg": "Input should be greater than or equal to 0",
            "input": "-1",
            "ctx": {"ge": 0}
        })),
        _ => {
            let content = operation.pointer("/requestBody/content")?.as_object()?;
            let (_, media) = content.iter().next()?;
            let name = media.pointer("/schema/$ref")?.as_str()?.rsplit('/').next()?;
            let schema = components.pointer(&format!("/schemas/{name}"))?;
            let field = schema.pointer("/required/0").or(schema.pointer("/if/required/0"))?;
            Some(json!({
                "type": "missing",
                "loc": ["body", field],
                "msg": "Field required",
                "input": Value::Null
            }))
        }
    }
}
