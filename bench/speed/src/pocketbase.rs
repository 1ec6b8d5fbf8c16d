//! PocketBase with the same posts and votes: collections, with rules for the checks that the
//! service has built in. PocketBase does less work for a vote, since it keeps no vote counts. It
//! hashes passwords with bcrypt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use rusqlite::Connection;
use serde_json::{Value, json};
use ureq::Agent;

use crate::load::Traffic;
use crate::operation::Operation;
use crate::process::Server;
use crate::seed::{CONTENT, PASSWORD, POSTS};

const SUPERUSER: &str = "root@example.com";

/// Fewer than in the other databases, because each token costs a login.
const USERS: u64 = 50;

pub struct PocketBase {
    pub server: Server,
    accounts: Rc<Vec<Account>>,
}

struct Account {
    id: String,
    token: String,
}

impl PocketBase {
    /// Starts PocketBase with a new data folder inside `folder`, and fills it.
    pub fn start(program: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.join("pocketbase");
        let mut upsert = Command::new(program);
        upsert.args(["superuser", "upsert", SUPERUSER, PASSWORD, "--dir"]).arg(&folder);
        let output = upsert.output().context("could not start PocketBase")?;
        if !output.status.success() {
            bail!(
                "PocketBase could not create the superuser: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        {
            let server = serve(program, &folder)?;
            create_collections(&server)?;
        }
        insert_posts(&folder.join("data.db"))?;
        let server = serve(program, &folder)?;
        let accounts = (1..=USERS).map(|user| log_in(&server, user)).collect::<Result<_>>()?;
        Ok(Self { server, accounts: Rc::new(accounts) })
    }

    pub fn traffic(&self, operation: Operation) -> PocketBaseTraffic {
        let accounts = Rc::clone(&self.accounts);
        PocketBaseTraffic { operation, accounts, rng: fastrand::Rng::with_seed(13) }
    }
}

fn serve(program: &Path, folder: &Path) -> Result<Server> {
    let (program, folder): (PathBuf, PathBuf) = (program.into(), folder.into());
    Server::start("PocketBase", move |port| {
        let mut command = Command::new(program);
        command.args(["serve", "--http", &format!("127.0.0.1:{port}"), "--dir"]).arg(folder);
        command
    })
}

/// Sends a POST request and returns the JSON of the response.
fn post(server: &Server, path: &str, token: &str, body: &Value) -> Result<Value> {
    let url = format!("http://{}{path}", server.address);
    let mut response = Agent::new_with_defaults()
        .post(url)
        .header("authorization", token)
        .send_json(body)
        .with_context(|| format!("PocketBase: POST {path}"))?;
    Ok(response.body_mut().read_json()?)
}

fn create_collections(server: &Server) -> Result<()> {
    let credentials = json!({"identity": SUPERUSER, "password": PASSWORD});
    let path = "/api/collections/_superusers/auth-with-password";
    let superuser = post(server, path, "", &credentials)?;
    let token = superuser["token"].as_str().context("PocketBase returned no token")?;
    let any_user = "@request.auth.id != \"\"";
    let relation = |name: &str, to: &Value| {
        json!({"name": name, "type": "relation", "collectionId": to, "maxSelect": 1,
            "cascadeDelete": true})
    };
    let users = json!("_pb_users_auth_");
    let posts = json!({
        "name": "posts", "type": "base", "listRule": any_user, "viewRule": any_user,
        "createRule": format!("{any_user} && owner = @request.auth.id"),
        "fields": [
            {"name": "title", "type": "text", "required": true},
            {"name": "content", "type": "text"},
            {"name": "published", "type": "bool"},
            relation("owner", &users),
            {"name": "created", "type": "autodate", "onCreate": true},
        ],
        "indexes": ["CREATE INDEX posts_created ON posts (created)"],
    });
    let posts = post(server, "/api/collections", token, &posts)?;
    let votes = json!({
        "name": "votes", "type": "base",
        "createRule": format!("{any_user} && user = @request.auth.id"),
        "fields": [
            relation("user", &users), relation("post", &posts["id"]),
            {"name": "dir", "type": "number"},
        ],
        "indexes": ["CREATE UNIQUE INDEX votes_one ON votes (post, user)"],
    });
    post(server, "/api/collections", token, &votes)?;
    for user in 1..=USERS {
        let account = json!({"email": crate::seed::email(user), "password": PASSWORD,
            "passwordConfirm": PASSWORD});
        post(server, "/api/collections/users/records", token, &account)?;
    }
    Ok(())
}

/// Inserts the posts with SQL: over HTTP it would take minutes.
fn insert_posts(database: &Path) -> Result<()> {
    Connection::open(database)?.execute(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
         INSERT INTO posts (id, title, content, published, created, owner)
         SELECT printf('post%011d', n), 'Post ' || n, ?2, TRUE,
                printf('2025-01-31 12:%02d:%02d.%03dZ', n / 60000 % 60, n / 1000 % 60, n % 1000),
                (SELECT id FROM users LIMIT 1)
           FROM numbers",
        (POSTS.cast_signed(), CONTENT),
    )?;
    Ok(())
}

fn log_in(server: &Server, user: u64) -> Result<Account> {
    let credentials = json!({"identity": crate::seed::email(user), "password": PASSWORD});
    let account = post(server, "/api/collections/users/auth-with-password", "", &credentials)?;
    let text = |value: &Value| {
        value.as_str().map(str::to_owned).context("PocketBase returned no ID or token")
    };
    Ok(Account { id: text(&account["record"]["id"])?, token: text(&account["token"])? })
}

pub struct PocketBaseTraffic {
    operation: Operation,
    accounts: Rc<Vec<Account>>,
    rng: fastrand::Rng,
}

impl Traffic for PocketBaseTraffic {
    fn write_request(&mut self, request: &mut Vec<u8>) {
        let index = self.rng.usize(..self.accounts.len());
        let Some(account) = self.accounts.get(index) else { return };
        let post = match self.operation {
            Operation::VoteOnOnePost => 1,
            _ => 1 + self.rng.u64(..POSTS),
        };
        let records = "/api/collections/posts/records";
        let (line, body) = match self.operation {
            Operation::ReadPost | Operation::Noop => {
                (format!("GET {records}/post{post:011}"), String::new())
            }
            Operation::ListPosts | Operation::ListThousandPosts => {
                (format!("GET {records}?perPage=10&skipTotal=1&sort=-created"), String::new())
            }
            Operation::Vote | Operation::VoteOnOnePost => (
                "POST /api/collections/votes/records".to_owned(),
                json!({"user": account.id, "post": format!("post{post:011}"), "dir": 1})
                    .to_string(),
            ),
            Operation::CreatePost | Operation::CreatePostWithKey => (
                format!("POST {records}"),
                json!({"title": "Post of a load", "content": CONTENT, "published": true,
                    "owner": account.id})
                .to_string(),
            ),
            Operation::LogIn => (
                "POST /api/collections/users/auth-with-password".to_owned(),
                json!({"identity": crate::seed::email(1 + self.rng.u64(..USERS)),
                    "password": PASSWORD})
                .to_string(),
            ),
        };
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            account.token,
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
    }

    fn is_expected_status(&self, status: u16) -> bool {
        // 400: the user has already voted on the post.
        let is_vote = matches!(self.operation, Operation::Vote | Operation::VoteOnOnePost);
        status == 200 || (status == 400 && is_vote)
    }

    fn is_expected_body(&self, status: u16, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
        match self.operation {
            Operation::ReadPost
            | Operation::Noop
            | Operation::CreatePost
            | Operation::CreatePostWithKey => body["content"] == CONTENT,
            Operation::ListPosts | Operation::ListThousandPosts => {
                body["items"].as_array().is_some_and(|posts| posts.len() == 10)
            }
            Operation::Vote | Operation::VoteOnOnePost if status == 400 => {
                body["data"]["post"]["code"] == "validation_not_unique"
            }
            Operation::Vote | Operation::VoteOnOnePost => body["id"].is_string(),
            Operation::LogIn => body["token"].is_string(),
        }
    }
}
