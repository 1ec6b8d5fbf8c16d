//! What is measured: requests that give the same kind of answer on both databases.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use axum::body::Bytes;
use serde_json::Value;

use super::rng::Random;
use super::seed::{COMMON, DRAFTS, VOTERS};
use super::service::{Call, Service};

pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// Requests in a round.
    pub(crate) requests: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A path, and how many posts the answer must hold.
    List {
        path: &'static str,
        rows: usize,
    },
    Post,
    Vote,
    Create,
}

/// A list of so many posts.
const fn list(name: &'static str, path: &'static str, rows: usize, requests: usize) -> Operation {
    Operation { name, requests, kind: Kind::List { path, rows } }
}

pub(crate) const ALL: &[Operation] = &[
    list("list of 100", "/posts", 100, 40),
    list("list of 10", "/posts?limit=10", 10, 200),
    list("list of 10, 900 skipped", "/posts?limit=10&skip=900", 10, 100),
    Operation { name: "one post", requests: 400, kind: Kind::Post },
    list("search, a common word", "/posts?search=lantern", 100, 40),
    list("search, a common word, 10 posts", "/posts?search=lantern&limit=10", 10, 100),
    list("search, a common word, 150 skipped", "/posts?search=lantern&limit=10&skip=150", 10, 100),
    list("search, a word of 2 titles", "/posts?search=quixotry", 2, 200),
    list("search, 3 characters", "/posts?search=ant&limit=10", 10, 100),
    list("search, 3 characters that no title has", "/posts?search=%7B%7D%7C", 0, 200),
    list("search in vain, trigrams of every title", "/posts?search=ananana", 0, 40),
    list("search in vain, trigrams of one title in 20", "/posts?search=lanternal", 0, 40),
    list("search in vain, trigrams never together", "/posts?search=lanternixotry", 0, 100),
    list("search, 2 characters", "/posts?search=an&limit=10", 10, 100),
    list("search, 1 character", "/posts?search=n&limit=10", 10, 100),
    list("search in vain, 2 characters", "/posts?search=%7B%7D", 0, 40),
    Operation { name: "vote and withdraw", requests: 60, kind: Kind::Vote },
    Operation { name: "create a post", requests: 60, kind: Kind::Create },
];

impl Operation {
    /// The requests of a round, to be sent in this order.
    pub(crate) fn calls(&self, service: &Service, random: &mut Random) -> Vec<Call> {
        match self.kind {
            Kind::List { path, .. } => vec![get(path.to_owned()); self.requests],
            Kind::Post => (0..self.requests)
                .map(|_| get(format!("/posts/{}", published(service, random))))
                .collect(),
            Kind::Vote => {
                let first = random.below(VOTERS);
                let ballots: Vec<_> = (first..).take(self.requests / 2).collect();
                let posts: Vec<_> = ballots.iter().map(|_| published(service, random)).collect();
                [1, 0]
                    .into_iter()
                    .flat_map(|direction| {
                        ballots.iter().zip(&posts).map(move |(&voter, post)| {
                            let body = format!(r#"{{"post_id": {post}, "dir": {direction}}}"#);
                            write("/vote", body, usize::try_from(voter).unwrap())
                        })
                    })
                    .collect()
            }
            Kind::Create => (0..self.requests)
                .map(|_| {
                    let number = random.below(1_000_000);
                    let title = format!("Banana: {COMMON} draft {number}");
                    let body = format!(r#"{{"title": "{title}", "content": "{title}"}}"#);
                    write("/posts", body, 0)
                })
                .collect(),
        }
    }

    /// Looks at an answer; what a round has to undo comes back as requests.
    pub(crate) fn check(&self, body: &Bytes) -> Option<Call> {
        match self.kind {
            Kind::List { rows, .. } => {
                let posts: Vec<Value> = serde_json::from_slice(body).unwrap();
                assert_eq!(posts.len(), rows, "{}", self.name);
                let ids: Vec<_> = posts.iter().map(|post| number(post, "/Post/id")).collect();
                assert!(ids.is_sorted_by(|a, b| a > b), "newest first: {ids:?}");
                None
            }
            Kind::Post => {
                let post: Value = serde_json::from_slice(body).unwrap();
                assert!(number(&post, "/Post/id") > 0, "{post}");
                None
            }
            Kind::Vote => None,
            Kind::Create => {
                let post: Value = serde_json::from_slice(body).unwrap();
                let path = format!("/posts/{}", number(&post, "/id"));
                let body = String::new();
                Some(Call { method: "DELETE", path, body, voter: 0, expected: 204 })
            }
        }
    }
}

fn get(path: String) -> Call {
    Call { method: "GET", path, body: String::new(), voter: 0, expected: 200 }
}

fn write(path: &str, body: String, voter: usize) -> Call {
    Call { method: "POST", path: path.to_owned(), body, voter, expected: 201 }
}

/// Any post but the drafts.
fn published(service: &Service, random: &mut Random) -> i64 {
    let id = random.below(service.posts) + 1;
    if id % DRAFTS == 0 { id - 1 } else { id }
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}
