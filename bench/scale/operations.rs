//! The measured operations: requests whose responses are alike on both databases.

#![expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]

use axum::body::Bytes;
use serde_json::Value;

use super::rng::Rng;
use super::seed::{COMMON, DRAFTS, VOTERS};
use super::service::{ApiRequest, Service};

pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// Requests per round.
    pub(crate) requests: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A list of posts; `rows` is the number of posts that it must have.
    List {
        path: &'static str,
        rows: usize,
    },
    Post,
    Vote,
    Create,
}

const fn list(name: &'static str, path: &'static str, rows: usize, requests: usize) -> Operation {
    Operation { name, requests, kind: Kind::List { path, rows } }
}

const OLDEST: &str = "/posts?limit=10&sort=oldest";

pub(crate) const ALL: &[Operation] = &[
    list("list of 100", "/posts", 100, 40),
    list("list of 10", "/posts?limit=10", 10, 200),
    list("list of 10, skip 900", "/posts?limit=10&skip=900", 10, 100),
    list("list of 10, oldest first", OLDEST, 10, 200),
    list("list of 10, since a time", "/posts?limit=10&since=2023-11-14T00:00:00Z", 10, 200),
    list("list of 10, with own votes and owners", "/posts?limit=10&include=my_vote,owner", 10, 100),
    Operation { name: "one post", requests: 400, kind: Kind::Post },
    list("search, common word", "/posts?search=lantern", 100, 40),
    list("search, common word, limit 10", "/posts?search=lantern&limit=10", 10, 100),
    list(
        "search, common word, limit 10, skip 150",
        "/posts?search=lantern&limit=10&skip=150",
        10,
        100,
    ),
    list("search, word in 2 titles", "/posts?search=quixotry", 2, 200),
    list("search, 3 characters", "/posts?search=ant&limit=10", 10, 100),
    list("search, 3 characters without a match", "/posts?search=%7B%7D%7C", 0, 200),
    list("search without a match, trigrams in every title", "/posts?search=ananana", 0, 40),
    list("search without a match, trigrams in 1 of 20 titles", "/posts?search=lanternal", 0, 40),
    list("search without a match, trigrams never together", "/posts?search=lanternixotry", 0, 100),
    list("search, 2 characters", "/posts?search=an&limit=10", 10, 100),
    list("search, 1 character", "/posts?search=n&limit=10", 10, 100),
    list("search, 2 characters without a match", "/posts?search=%7B%7D", 0, 40),
    Operation { name: "cast and withdraw a vote", requests: 60, kind: Kind::Vote },
    Operation { name: "create a post", requests: 60, kind: Kind::Create },
];

impl Operation {
    /// Returns the requests of a round, in the order in which to send them.
    pub(crate) fn requests(&self, service: &Service, rng: &mut Rng) -> Vec<ApiRequest> {
        match self.kind {
            Kind::List { path, .. } => vec![get_request(path.to_owned()); self.requests],
            Kind::Post => (0..self.requests)
                .map(|_| get_request(format!("/posts/{}", random_published_post(service, rng))))
                .collect(),
            Kind::Vote => {
                let first = rng.below(VOTERS);
                let voters: Vec<_> = (first..).take(self.requests / 2).collect();
                let posts: Vec<_> =
                    voters.iter().map(|_| random_published_post(service, rng)).collect();
                [1, 0]
                    .into_iter()
                    .flat_map(|dir| {
                        voters.iter().zip(&posts).map(move |(&voter, post)| {
                            let body = format!(r#"{{"post_id": {post}, "dir": {dir}}}"#);
                            post_request("/vote", body, usize::try_from(voter).unwrap())
                        })
                    })
                    .collect()
            }
            Kind::Create => (0..self.requests)
                .map(|_| {
                    let number = rng.below(1_000_000);
                    let title = format!("Banana: {COMMON} draft {number}");
                    let body = format!(r#"{{"title": "{title}", "content": "{title}"}}"#);
                    post_request("/posts", body, 0)
                })
                .collect(),
        }
    }

    /// Checks a body. Returns the request that removes the created post, if there is one.
    pub(crate) fn check(&self, body: &Bytes) -> Option<ApiRequest> {
        match self.kind {
            Kind::List { path, rows } => {
                let posts: Vec<Value> = serde_json::from_slice(body).unwrap();
                assert_eq!(posts.len(), rows, "{}", self.name);
                let ids: Vec<_> = posts.iter().map(|post| integer(post, "/Post/id")).collect();
                let is_ordered = |a: &i64, b: &i64| if path == OLDEST { a < b } else { a > b };
                assert!(ids.is_sorted_by(is_ordered), "{}: {ids:?}", self.name);
                None
            }
            Kind::Post => {
                let post: Value = serde_json::from_slice(body).unwrap();
                assert!(integer(&post, "/Post/id") > 0, "{post}");
                None
            }
            Kind::Vote => None,
            Kind::Create => {
                let post: Value = serde_json::from_slice(body).unwrap();
                let path = format!("/posts/{}", integer(&post, "/id"));
                let body = String::new();
                Some(ApiRequest { method: "DELETE", path, body, voter: 0, expected_status: 204 })
            }
        }
    }
}

fn get_request(path: String) -> ApiRequest {
    ApiRequest { method: "GET", path, body: String::new(), voter: 0, expected_status: 200 }
}

fn post_request(path: &str, body: String, voter: usize) -> ApiRequest {
    ApiRequest { method: "POST", path: path.to_owned(), body, voter, expected_status: 201 }
}

/// Returns the ID of a random post that is no draft.
fn random_published_post(service: &Service, rng: &mut Rng) -> i64 {
    let id = rng.below(service.posts) + 1;
    if id % DRAFTS == 0 { id - 1 } else { id }
}

fn integer(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}
