//! The clients in `docs/live.md`: this one runs the one in Python.
//!
//! Not here: the one in JavaScript, see `browser/live_client.rs`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{PASSWORD, Service};

const PAGE: &str = include_str!("../../../docs/live.md");

/// Returns the only block of the page in this language.
pub(crate) fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn python_client_follows_the_posts() {
    let service = Service::start(&[]);
    let mut wire = service.connect();
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    let file = service.path().join("follow.py");
    std::fs::write(&file, block("python")).unwrap();
    let mut client = Command::new("python3")
        .arg(&file)
        .args([&service.url, &token])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next(), json!({}));
    let post = json!({"title": "first", "content": "x".repeat(5_000)});
    let id = wire.call("POST", "/posts", &token, Some(&post)).unwrap().json()["id"].to_string();
    assert_eq!(next()[&id]["Post"]["title"], "first");
    let vote = json!({"post_id": id.parse::<i64>().unwrap(), "dir": 1});
    wire.call("POST", "/vote", &token, Some(&vote)).unwrap().expect(201);
    assert_eq!(next()[&id]["votes"], 1);
    wire.call("DELETE", &format!("/posts/{id}"), &token, None).unwrap().expect(204);
    assert_eq!(next(), json!({}));
    client.kill().unwrap();
    client.wait().unwrap();
}
