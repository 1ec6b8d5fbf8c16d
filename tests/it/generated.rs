//! Compares committed files with what the code generates, so that a review shows each change.
//!
//! `UPDATE_GENERATED=1 cargo test generated` rewrites the files.

use std::path::PathBuf;

use post_api::api::{OPERATIONS, openapi};
use post_api::domain::policy::Policy;
use post_api::{cli, config, metrics};
use serde_json::Value;

/// Paths that the document leaves out: the document itself, and the documentation pages.
const UNDESCRIBED: [&str; 10] = [
    "/",
    "/admin",
    "/app.css",
    "/app.js",
    "/app/{file}",
    "/docs",
    "/docs/oauth2-redirect",
    "/docs/{file}",
    "/openapi.json",
    "/redoc",
];

#[test]
fn openapi_document_is_up_to_date() {
    compare("docs/openapi.json", &with_end(openapi::document("", &Policy::default())));
}

#[test]
fn routes_table_is_up_to_date() {
    compare("docs/routes.txt", &routes_table());
}

#[test]
fn env_example_is_up_to_date() {
    compare(".env.example", &config::env_example());
}

#[test]
fn package_env_is_up_to_date() {
    compare("packaging/env", &config::package_env());
}

#[test]
fn settings_page_is_up_to_date() {
    compare("docs/settings.md", &config::settings_page());
}

#[test]
fn commands_page_is_up_to_date() {
    compare("docs/cli.md", &cli::commands_page());
}

#[test]
fn metrics_page_is_up_to_date() {
    compare("docs/metrics.md", &metrics::metrics_page());
}

#[test]
fn procfile_is_up_to_date() {
    compare("Procfile", &config::procfile());
}

/// The router (`src/api/mod.rs`) and the document have the same paths.
#[test]
fn every_route_is_described() {
    let router = include_str!("../../src/api/mod.rs");
    let literals = router.match_indices('"').map(|(start, _)| &router[start + 1..]);
    let mut listed: Vec<String> = literals
        .filter(|rest| rest.starts_with('/'))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .filter(|path| !UNDESCRIBED.contains(&path.as_str()))
        .collect();
    let document = document();
    let described = document["paths"].as_object().unwrap().keys();
    // The reference service documents the vote route with a trailing slash.
    let mut described: Vec<String> =
        described.map(|path| path.trim_end_matches('/').to_owned()).collect();
    listed.sort();
    described.sort();
    assert_eq!(listed, described);
}

/// Metrics name each operation of the document, by the path of the router.
#[test]
fn metrics_name_every_operation() {
    let document = document();
    let described = operations(&document).into_iter();
    let mut described: Vec<_> = described
        .map(|(path, method, _)| (method.to_uppercase(), path.trim_end_matches('/').to_owned()))
        .collect();
    let measured = OPERATIONS.iter();
    let mut measured: Vec<_> =
        measured.map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    described.sort();
    measured.sort();
    assert_eq!(described, measured);
}

/// Every operation has a unique ID, a summary and described responses. If it uses the store, it
/// documents 503.
#[test]
fn every_operation_is_complete() {
    let document = document();
    let mut names = std::collections::BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let context = format!("{method} {path}");
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{context}"));
        assert!(names.insert(name.to_owned()), "{context}: duplicate operation ID {name}");
        assert!(operation["summary"].is_string(), "{context} has no summary");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.values().all(|response| response["description"].is_string()),
            "{context}"
        );
        // These two routes use no store, so they cannot be overloaded.
        if !["/livez", "/.well-known/jwks.json"].contains(&path) {
            assert!(responses.contains_key("503"), "{context} does not document 503");
        }
    }
}

fn document() -> Value {
    serde_json::from_str(&openapi::document("", &Policy::default())).unwrap()
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((path.as_str(), method.as_str(), operation));
        }
    }
    found
}

/// Returns one line per operation: path, method, token requirement, operation ID, statuses.
fn routes_table() -> String {
    let document = document();
    let mut lines: Vec<String> = operations(&document)
        .into_iter()
        .map(|(path, method, operation)| {
            let security = operation["security"].as_array();
            let token = match security {
                None => "none",
                Some(schemes)
                    if schemes.iter().any(|scheme| scheme.as_object().unwrap().is_empty()) =>
                {
                    "may"
                }
                Some(_) => "token",
            };
            let statuses = operation["responses"].as_object().unwrap().keys();
            let statuses: Vec<_> = statuses.map(String::as_str).collect();
            let name = operation["operationId"].as_str().unwrap();
            let method = method.to_uppercase();
            format!("{path:<22} {method:<7} {token:<6} {name:<32} {}", statuses.join(" "))
        })
        .collect();
    lines.sort();
    lines.join("\n") + "\n"
}

fn with_end(mut text: String) -> String {
    text.push('\n');
    text
}

#[track_caller]
fn compare(file: &str, generated: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{file} is out of date: run `UPDATE_GENERATED=1 cargo test generated` and review the difference",
    );
}
