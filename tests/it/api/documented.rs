//! Every status that an operation answers stands in the document, and every one that stands
//! there is answered to somebody.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::Operation;
use crate::support::{Persona, Setup, TestApp, key_files};

/// What a request in this process cannot bring about: a slow body, a fault, an outage.
const OUT_OF_REACH: [u16; 3] = [408, 500, 503];

/// Bodies that fit no operation, with their types.
fn misfits() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("application/json", Vec::new()),
        ("application/json", b"null".to_vec()),
        ("application/json", b"[]".to_vec()),
        ("application/json", b"{".to_vec()),
        ("application/json", br#"{"post_id":4711,"dir":1}"#.to_vec()),
        ("application/json", vec![b'"', 0xff, b'"']),
        ("application/json", "[".repeat(1000).into_bytes()),
        ("application/json", vec![b' '; 2 * 1024 * 1024 + 1]),
        ("text/plain", b"text".to_vec()),
        ("multipart/form-data; boundary=b", b"--b\r\n".to_vec()),
        ("multipart/form-data; boundary=b", vec![b' '; 2 * 1024 * 1024 + 1]),
        ("application/x-www-form-urlencoded", b"username=a&password=b".to_vec()),
        ("application/x-www-form-urlencoded", vec![b'a'; 2 * 1024 * 1024 + 1]),
    ]
}

/// Calls the operation about everything there is, with what fits and with what does not.
async fn walk(app: &TestApp, operation: &Operation, number: usize) -> BTreeSet<u16> {
    let stranger = app.signed_in(&format!("stranger{number}")).await;
    let caller = app.signed_in(&format!("caller{number}")).await;
    let is_user = operation.path.starts_with("/users");
    let theirs = if is_user { stranger.id } else { stranger.write_post("post").await };
    let own = if is_user { caller.id } else { caller.write_post("post").await };
    let hidden = stranger.write_draft("draft").await;
    let gone = app.with_token(&app.token_for(4711));
    let callers: [&Persona<'_>; 4] = [&app.anonymous(), &app.with_token("x"), &gone, &caller];
    let numbers = [theirs, hidden, 4711].map(|id| id.to_string());
    let mut ids: Vec<String> =
        numbers.into_iter().chain(["x".to_owned(), "9".repeat(30)]).collect();
    // Last, as it may be the end of the caller.
    ids.push(own.to_string());
    let mut seen = BTreeSet::new();
    for caller in callers {
        for id in &ids {
            let path = format!("{}?limit=-1", operation.path_to(id));
            let answer = caller.send_raw(&operation.method, &path, "", "").await;
            seen.insert(answer.status.as_u16());
            for (media_type, body) in misfits() {
                let path = operation.path_to(id);
                let answer = caller.send_raw(&operation.method, &path, media_type, body).await;
                seen.insert(answer.status.as_u16());
            }
            for _ in 0..2 {
                seen.insert(operation.call(caller, id).await.status.as_u16());
            }
        }
    }
    seen
}

#[tokio::test]
async fn answers_and_document_agree_on_statuses() {
    let app = TestApp::start().await;
    // The document's own examples speak of the first post.
    app.signed_in("author").await.write_post("1").await;
    let mut undocumented = BTreeMap::new();
    let mut unseen = BTreeMap::new();
    let mut operations = Operation::all(&app).await;
    // Sign-up first: the example's account is the one that the login's example speaks of.
    operations.sort_by_key(|operation| operation.name() != "POST /users");
    for (number, operation) in operations.into_iter().enumerate() {
        let mut seen = walk(&app, &operation, number).await;
        if operation.path == "/.well-known/jwks.json" {
            // There are keys to show where tokens are signed with pairs of them.
            let setup = Setup { keys: key_files::ed25519, ..Setup::default() };
            seen.extend(walk(&TestApp::set_up(setup).await, &operation, number).await);
        }
        let extra: BTreeSet<u16> = seen.difference(&operation.statuses).copied().collect();
        let reachable = operation.statuses.iter().filter(|status| !OUT_OF_REACH.contains(status));
        let missing: BTreeSet<u16> =
            reachable.filter(|status| !seen.contains(status)).copied().collect();
        if !extra.is_empty() {
            undocumented.insert(operation.name(), extra);
        }
        if !missing.is_empty() {
            unseen.insert(operation.name(), missing);
        }
    }
    assert!(undocumented.is_empty(), "not in the document: {undocumented:?}");
    assert!(unseen.is_empty(), "in the document, and never answered: {unseen:?}");
}
