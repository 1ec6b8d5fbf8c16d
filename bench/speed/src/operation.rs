//! The measured operations, as requests to the service or to the FastAPI stack, which has the same
//! routes.

use std::rc::Rc;

use serde_json::Value;

use crate::load::Traffic;
use crate::seed::{CONTENT, PASSWORD, POSTS, USERS, email};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ReadPost,
    /// The ten newest posts.
    ListPosts,
    /// The thousand newest posts.
    ListThousandPosts,
    /// A vote, up or down, of a random user on a random post.
    Vote,
    /// A vote of a random user on the first post.
    VoteOnOnePost,
    CreatePost,
    /// A new post with an `Idempotency-Key` of its own.
    CreatePostWithKey,
    LogIn,
    /// The fixed response of the no-op server.
    Noop,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadPost => "`GET /posts/{id}`",
            Self::ListPosts => "`GET /posts?limit=10`",
            Self::ListThousandPosts => "`GET /posts?limit=1000`",
            Self::Vote => "`POST /vote`, many posts",
            Self::VoteOnOnePost => "`POST /vote`, one post",
            Self::CreatePost => "`POST /posts`",
            Self::CreatePostWithKey => "`POST /posts` with a key",
            Self::LogIn => "`POST /login`",
            Self::Noop => "`GET /noop`",
        }
    }
}

/// Requests of one operation by random users.
pub struct ApiTraffic {
    operation: Operation,
    /// One per user, in the order of their IDs.
    tokens: Rc<Vec<String>>,
    rng: fastrand::Rng,
}

impl ApiTraffic {
    pub fn new(operation: Operation, tokens: Rc<Vec<String>>) -> Self {
        Self { operation, tokens, rng: fastrand::Rng::with_seed(7) }
    }

    fn token(&mut self) -> &str {
        let index = self.rng.usize(..self.tokens.len());
        self.tokens.get(index).map_or("", String::as_str)
    }

    fn write(&mut self, request: &mut Vec<u8>, line: &str, body: Option<(&str, &str)>) {
        for part in [line, " HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ", self.token()] {
            request.extend_from_slice(part.as_bytes());
        }
        if self.operation == Operation::CreatePostWithKey {
            let key = format!("\r\nidempotency-key: \"{:032x}\"", self.rng.u128(..));
            request.extend_from_slice(key.as_bytes());
        }
        if let Some((content_type, body)) = body {
            let length = body.len().to_string();
            let parts = [
                "\r\ncontent-type: ",
                content_type,
                "\r\ncontent-length: ",
                &length,
                "\r\n\r\n",
                body,
            ];
            request.extend_from_slice(parts.concat().as_bytes());
        } else {
            request.extend_from_slice(b"\r\n\r\n");
        }
    }
}

impl Traffic for ApiTraffic {
    fn write_request(&mut self, request: &mut Vec<u8>) {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        let post = match self.operation {
            Operation::VoteOnOnePost => 1,
            _ => 1 + self.rng.u64(..POSTS),
        };
        match self.operation {
            Operation::ReadPost => self.write(request, &format!("GET /posts/{post}"), None),
            Operation::ListPosts => self.write(request, "GET /posts?limit=10", None),
            Operation::ListThousandPosts => {
                self.write(request, "GET /posts?limit=1000", None);
            }
            Operation::Noop => self.write(request, "GET /noop", None),
            Operation::Vote | Operation::VoteOnOnePost => {
                let dir = if self.rng.bool() { 1 } else { -1 };
                let body = format!("{{\"post_id\":{post},\"dir\":{dir}}}");
                self.write(request, "POST /vote", Some((JSON, &body)));
            }
            Operation::CreatePost | Operation::CreatePostWithKey => {
                let body = format!("{{\"title\":\"Post of a load\",\"content\":\"{CONTENT}\"}}");
                self.write(request, "POST /posts", Some((JSON, &body)));
            }
            Operation::LogIn => {
                let name = email(1 + self.rng.u64(..USERS)).replace('@', "%40");
                let password = PASSWORD.replace(' ', "+");
                let body = format!("username={name}&password={password}");
                self.write(request, "POST /login", Some((FORM, &body)));
            }
        }
    }

    fn is_expected_status(&self, status: u16) -> bool {
        match self.operation {
            Operation::ReadPost
            | Operation::ListPosts
            | Operation::ListThousandPosts
            | Operation::Noop => status == 200,
            // 409: the user has already cast this vote.
            Operation::Vote | Operation::VoteOnOnePost => status == 201 || status == 409,
            Operation::CreatePost | Operation::CreatePostWithKey => status == 201,
            // 202: the FastAPI stack.
            Operation::LogIn => status == 200 || status == 202,
        }
    }

    fn is_expected_body(&self, status: u16, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
        let is_post = |item: &Value| {
            item["Post"]["content"] == CONTENT
                && item["votes"].is_i64()
                && item["Post"]["id"].is_i64()
        };
        let is_list = |length: usize| {
            body.as_array().is_some_and(|posts| posts.len() == length && posts.iter().all(is_post))
        };
        match self.operation {
            Operation::ReadPost | Operation::Noop => is_post(&body),
            Operation::ListPosts => is_list(10),
            Operation::ListThousandPosts => is_list(1000),
            Operation::Vote | Operation::VoteOnOnePost if status == 409 => {
                body["detail"].is_string()
            }
            Operation::Vote | Operation::VoteOnOnePost => body["message"].is_string(),
            Operation::CreatePost | Operation::CreatePostWithKey => {
                body["content"] == CONTENT && body["id"].is_i64()
            }
            Operation::LogIn => body["access_token"].is_string(),
        }
    }
}
