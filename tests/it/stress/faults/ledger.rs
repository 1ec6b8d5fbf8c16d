//! A client that writes at random and records its responses.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::Sender;

use serde_json::{Value, json};

use super::stored_rows::StoredRows;
use crate::stress::rng::Rng;
use crate::support::{PASSWORD, Service, TestResponse, Wire};

/// A write without a response so far.
enum Pending {
    Account(String),
    Post(String),
    Vote { post: i64, dir: i64 },
}

pub(super) struct Ledger {
    name: String,
    rng: Rng,
    /// The token of the account that posts and votes; empty before the first login.
    token: String,
    user: i64,
    accounts: BTreeMap<String, i64>,
    posts: BTreeMap<i64, String>,
    votes: BTreeMap<i64, i64>,
    pending: Option<Pending>,
    /// Whether the service's clock changes, so that a token may expire at any time.
    tokens_expire: bool,
    renewals: usize,
    writes: usize,
    /// Writes without a response: how many were done, and how many were not.
    unanswered: (usize, usize),
}

/// Returns a content of several database pages, so that a torn write would show.
fn content_of(title: &str) -> String {
    title.repeat(600)
}

impl Ledger {
    pub(super) fn new(number: usize, rng: Rng) -> Self {
        Self {
            name: format!("client{number}"),
            rng,
            token: String::new(),
            user: 0,
            accounts: BTreeMap::new(),
            posts: BTreeMap::new(),
            votes: BTreeMap::new(),
            pending: None,
            tokens_expire: false,
            renewals: 0,
            writes: 0,
            unanswered: (0, 0),
        }
    }

    /// Logs in again before the next write, and from now on treats a 401 as an expired token.
    pub(super) fn drop_token(&mut self) {
        self.token.clear();
        self.tokens_expire = true;
    }

    pub(super) fn renewals(&self) -> usize {
        self.renewals
    }

    pub(super) fn posts(&self) -> Vec<i64> {
        self.posts.keys().copied().collect()
    }

    pub(super) fn accounts(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    pub(super) fn unanswered(&self) -> (usize, usize) {
        self.unanswered
    }

    /// Writes at random until the connection fails, and reports each acknowledgement.
    pub(super) fn write_until_disconnected(
        &mut self,
        address: &str,
        posts: &[i64],
        acknowledged: &Sender<()>,
    ) {
        let outcome = Wire::try_connect(address).and_then(|mut wire| {
            loop {
                self.write(&mut wire, posts)?;
                self.pending = None;
                self.writes += 1;
                // The receiver stops counting once the round ends.
                let _ = acknowledged.send(());
            }
        });
        let outcome: io::Result<()> = outcome;
        drop(outcome);
    }

    fn write(&mut self, wire: &mut Wire, posts: &[i64]) -> io::Result<()> {
        if self.accounts.is_empty() {
            return self.sign_up(wire);
        }
        if self.token.is_empty() {
            self.log_in(wire)?;
        }
        let own: Vec<i64> = posts.iter().copied().chain(self.posts()).collect();
        match self.rng.below(10) {
            0 => self.sign_up(wire),
            1..=3 => self.write_post(wire),
            choice => {
                match own.get(usize::try_from(self.rng.next() >> 40).unwrap() % own.len().max(1)) {
                    None => self.write_post(wire),
                    Some(&post) => {
                        self.vote(wire, post, [1, -1, 0][usize::try_from(choice % 3).unwrap()])
                    }
                }
            }
        }
    }

    fn fresh_name(&mut self) -> String {
        format!("{}-{:x}", self.name, self.rng.next())
    }

    fn sign_up(&mut self, wire: &mut Wire) -> io::Result<()> {
        let email = format!("{}@example.com", self.fresh_name());
        self.pending = Some(Pending::Account(email.clone()));
        let account = json!({"email": email, "password": PASSWORD});
        let response = expect_status(wire.call("POST", "/users", "", Some(&account))?, 201)?;
        self.accounts.insert(email, number(&response));
        Ok(())
    }

    fn log_in(&mut self, wire: &mut Wire) -> io::Result<()> {
        // The account that posts and votes stays the same.
        let is_it = |account: &(&String, &i64)| self.user == 0 || self.user == *account.1;
        let (email, &id) = self.accounts.iter().find(is_it).unwrap();
        let form = format!("username={email}&password={}", PASSWORD.replace(' ', "+"));
        wire.try_send(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ))?;
        let response = expect_status(wire.try_read_response()?, 200)?;
        self.user = id;
        response.json()["access_token"].as_str().unwrap().clone_into(&mut self.token);
        Ok(())
    }

    /// Sends the request, and sends it again with a new token if the token has expired. A write
    /// that was done in spite of the 401 would be found twice.
    fn call(
        &mut self,
        wire: &mut Wire,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<TestResponse> {
        for _ in 0..100 {
            let response = wire.call(method, path, &self.token, body)?;
            if response.status != 401 || !self.tokens_expire {
                return Ok(response);
            }
            self.log_in(wire)?;
            self.renewals += 1;
        }
        panic!("{method} {path}: rejected in spite of new tokens");
    }

    fn write_post(&mut self, wire: &mut Wire) -> io::Result<()> {
        let title = self.fresh_name();
        self.pending = Some(Pending::Post(title.clone()));
        let post = json!({"title": title, "content": content_of(&title)});
        let response = expect_status(self.call(wire, "POST", "/posts", Some(&post))?, 201)?;
        let id = number(&response);
        self.posts.insert(id, title);
        self.pending = None;
        // An acknowledged write is committed, so readers on other connections see it.
        expect_status(self.call(wire, "GET", &format!("/posts/{id}"), None)?, 200)?;
        Ok(())
    }

    fn vote(&mut self, wire: &mut Wire, post: i64, dir: i64) -> io::Result<()> {
        self.pending = Some(Pending::Vote { post, dir });
        let ballot = json!({"post_id": post, "dir": dir});
        let response = self.call(wire, "POST", "/vote", Some(&ballot))?;
        let cast = self.votes.get(&post).copied();
        let expected = match (cast, dir) {
            (None, 0) => 404,
            (Some(cast), dir) if cast == dir => 409,
            _ => 201,
        };
        expect_status(response, expected)?;
        self.record_vote(post, dir);
        Ok(())
    }

    fn record_vote(&mut self, post: i64, dir: i64) {
        if dir == 0 {
            self.votes.remove(&post);
        } else {
            self.votes.insert(post, dir);
        }
    }

    /// Compares the database with the ledger, and adds unanswered writes that were done.
    pub(super) fn reconcile(&mut self, stored: &dyn StoredRows, seed: &str) {
        match self.pending.take() {
            Some(Pending::Account(email)) => {
                let sql =
                    format!("SELECT email, CAST(id AS TEXT) FROM users WHERE email = '{email}'");
                let found = parsed(stored.rows(&sql));
                self.count_without_response(!found.is_empty());
                self.accounts.extend(found);
            }
            Some(Pending::Post(title)) => {
                let sql =
                    format!("SELECT title, CAST(id AS TEXT) FROM posts WHERE title = '{title}'");
                let found = parsed::<i64>(stored.rows(&sql));
                self.count_without_response(!found.is_empty());
                self.posts.extend(found.into_iter().map(|(title, id)| (id, title)));
            }
            Some(Pending::Vote { post, dir }) => {
                let found = self.stored_votes(stored).get(&post).copied().unwrap_or(0);
                let before = self.votes.get(&post).copied().unwrap_or(0);
                assert!(
                    found == dir || found == before,
                    "{seed}: sent the vote {dir}, found {found}"
                );
                if before != dir {
                    self.count_without_response(found == dir);
                }
                self.record_vote(post, found);
            }
            None => {}
        }
        self.compare(stored, seed);
    }

    fn count_without_response(&mut self, was_done: bool) {
        let count = if was_done { &mut self.unanswered.0 } else { &mut self.unanswered.1 };
        *count += 1;
    }

    fn compare(&self, stored: &dyn StoredRows, seed: &str) {
        let mine = format!("{}-%", self.name);
        let accounts = stored
            .rows(&format!("SELECT email, CAST(id AS TEXT) FROM users WHERE email LIKE '{mine}'"));
        assert_eq!(parsed(accounts), self.accounts, "{seed}: accounts");
        let posts = stored
            .rows(&format!("SELECT CAST(id AS TEXT), title FROM posts WHERE title LIKE '{mine}'"));
        let posts: BTreeMap<i64, String> =
            posts.into_iter().map(|(id, title)| (id.parse().unwrap(), title)).collect();
        assert_eq!(posts, self.posts, "{seed}: posts");
        let contents =
            stored.rows(&format!("SELECT title, content FROM posts WHERE title LIKE '{mine}'"));
        let torn: BTreeSet<&String> = contents
            .iter()
            .filter(|(title, text)| *text != content_of(title))
            .map(|(title, _)| title)
            .collect();
        assert!(torn.is_empty(), "{seed}: torn posts {torn:?}");
        assert_eq!(self.stored_votes(stored), self.votes, "{seed}: votes");
    }

    fn stored_votes(&self, stored: &dyn StoredRows) -> BTreeMap<i64, i64> {
        let rows = stored.rows(&format!(
            "SELECT CAST(post_id AS TEXT), CAST(dir AS TEXT) FROM votes WHERE user_id = {}",
            self.user
        ));
        let parse = |(post, dir): (String, String)| (post.parse().unwrap(), dir.parse().unwrap());
        rows.into_iter().map(parse).collect()
    }

    /// Checks that the API returns the newest acknowledged post.
    pub(super) fn compare_response(&mut self, service: &Service, seed: &str) {
        let (false, Some((id, title))) = (self.token.is_empty(), self.posts.last_key_value())
        else {
            return;
        };
        let (path, title) = (format!("/posts/{id}"), json!(title));
        let post = self.call(&mut service.connect(), "GET", &path, None).unwrap();
        let post: Value = post.expect(200).json();
        assert_eq!(post["Post"]["title"], title, "{seed}: {post}");
    }
}

fn number(response: &TestResponse) -> i64 {
    response.json()["id"].as_i64().unwrap()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(
    rows: Vec<(String, String)>,
) -> BTreeMap<String, T> {
    rows.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect()
}

/// Treats a 503 as a missing response, as the write may have been done.
fn expect_status(response: TestResponse, status: u16) -> io::Result<TestResponse> {
    if response.status == 503 {
        return Err(io::Error::other("unavailable"));
    }
    Ok(response.expect(status))
}
