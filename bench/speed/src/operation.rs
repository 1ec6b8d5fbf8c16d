//! What is measured, as requests of the service and of the reference, which has the same routes.

use std::rc::Rc;

use serde_json::Value;

use crate::load::Traffic;
use crate::seed::{CONTENT, PASSWORD, POSTS, USERS, email};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ReadPost,
    /// The ten newest.
    ListPosts,
    /// Up or down, of any user on any post.
    Vote,
    /// Of any user on the first post.
    VoteOnOnePost,
    CreatePost,
    LogIn,
    /// What the constant server answers.
    Constant,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadPost => "`GET /posts/{id}`",
            Self::ListPosts => "`GET /posts?limit=10`",
            Self::Vote => "`POST /vote`, many posts",
            Self::VoteOnOnePost => "`POST /vote`, one post",
            Self::CreatePost => "`POST /posts`",
            Self::LogIn => "`POST /login`",
            Self::Constant => "a constant",
        }
    }
}

/// Requests of one operation by callers at random.
pub struct ApiTraffic {
    operation: Operation,
    /// Of the user with the number that follows its place.
    tokens: Rc<Vec<String>>,
    posts: u64,
    random: fastrand::Rng,
}

impl ApiTraffic {
    pub fn new(operation: Operation, tokens: Rc<Vec<String>>) -> Self {
        Self { operation, tokens, posts: POSTS, random: fastrand::Rng::with_seed(7) }
    }

    fn token(&mut self) -> &str {
        let number = self.random.usize(..self.tokens.len());
        self.tokens.get(number).map_or("", String::as_str)
    }

    fn write(&mut self, request: &mut Vec<u8>, line: &str, body: Option<(&str, &str)>) {
        for part in [line, " HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ", self.token()] {
            request.extend_from_slice(part.as_bytes());
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
            _ => 1 + self.random.u64(..self.posts),
        };
        match self.operation {
            Operation::ReadPost => self.write(request, &format!("GET /posts/{post}"), None),
            Operation::ListPosts => self.write(request, "GET /posts?limit=10", None),
            Operation::Constant => self.write(request, "GET /constant", None),
            Operation::Vote | Operation::VoteOnOnePost => {
                let direction = if self.random.bool() { 1 } else { -1 };
                let body = format!("{{\"post_id\":{post},\"dir\":{direction}}}");
                self.write(request, "POST /vote", Some((JSON, &body)));
            }
            Operation::CreatePost => {
                let body = format!("{{\"title\":\"Post of a load\",\"content\":\"{CONTENT}\"}}");
                self.write(request, "POST /posts", Some((JSON, &body)));
            }
            Operation::LogIn => {
                let name = email(1 + self.random.u64(..USERS)).replace('@', "%40");
                let password = PASSWORD.replace(' ', "+");
                let body = format!("username={name}&password={password}");
                self.write(request, "POST /login", Some((FORM, &body)));
            }
        }
    }

    fn is_right_status(&self, status: u16) -> bool {
        match self.operation {
            Operation::ReadPost | Operation::ListPosts | Operation::Constant => status == 200,
            // 409: the same vote again.
            Operation::Vote | Operation::VoteOnOnePost => status == 201 || status == 409,
            Operation::CreatePost => status == 201,
            // 202 is the reference's.
            Operation::LogIn => status == 200 || status == 202,
        }
    }

    fn is_right_body(&self, status: u16, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
        let is_post = |found: &Value| {
            found["Post"]["content"] == CONTENT
                && found["votes"].is_i64()
                && found["Post"]["id"].is_i64()
        };
        match self.operation {
            Operation::ReadPost | Operation::Constant => is_post(&body),
            Operation::ListPosts => {
                body.as_array().is_some_and(|posts| posts.len() == 10 && posts.iter().all(is_post))
            }
            Operation::Vote | Operation::VoteOnOnePost if status == 409 => {
                body["detail"].is_string()
            }
            Operation::Vote | Operation::VoteOnOnePost => body["message"].is_string(),
            Operation::CreatePost => body["content"] == CONTENT && body["id"].is_i64(),
            Operation::LogIn => body["access_token"].is_string(),
        }
    }
}
