//! A recorded database of the reference service, from its adoption to its return.
//!
//! `LEGACY` names the folder with the dump (`seed.sql`) and the accounts (`seed.md`).
//! `scripts/test` runs this test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use post_api::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Cluster, PostgresDatabase, Service, forge_with};

fn recorded(name: &str) -> String {
    let folder = PathBuf::from(std::env::var("LEGACY").expect("LEGACY is not set"));
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Returns e-mail and password of each account in the table of the page.
fn accounts(page: &str) -> Vec<(String, String)> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.contains('@')).map(cells);
    rows.map(|cells| (cells[1].clone(), cells[2].clone())).collect()
}

/// Returns the secret of the page: its longest word of hexadecimal digits.
fn key(page: &str) -> String {
    let is_hexadecimal = |word: &&str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = page.split(|character: char| !character.is_ascii_alphanumeric());
    words.filter(is_hexadecimal).max_by_key(|word| word.len()).unwrap().to_owned()
}

struct LegacyDatabase {
    database: PostgresDatabase<'static>,
    folder: TempDir,
    key: String,
}

impl LegacyDatabase {
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Service::command(self.folder.path());
        let command = command.env("DATABASE_URL", self.database.url()).env("SECRET_KEY", &self.key);
        let command = command.env("COMPAT", "reference").stdout(std::process::Stdio::piped());
        let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
        let printed = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{printed}{}", String::from_utf8_lossy(&stderr));
        printed
    }

    fn serve(&self) -> Service {
        let settings = [
            ("DATABASE_URL", self.database.url()),
            ("SECRET_KEY", &self.key),
            ("COMPAT", "reference"),
        ];
        Service::start_in(self.folder.path(), &settings)
    }
}

/// Returns each post as the reference service does. The query counts the votes.
const POSTS: &str = "SELECT json_build_object(
        'Post', json_build_object('id', id, 'title', title, 'content', content,
                                  'published', published, 'owner_id', owner_id,
                                  'created_at', to_char(created_at AT TIME ZONE 'UTC',
                                                        'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')),
        'votes', (SELECT count(*) FROM votes WHERE post_id = posts.id))
      FROM posts ORDER BY id DESC";

#[test]
#[ignore = "needs the recorded database"]
fn recorded_database_is_adopted_and_returned_unchanged() {
    let page = recorded("seed.md");
    let legacy = LegacyDatabase {
        database: Cluster::shared().empty_database(),
        folder: TempDir::new().unwrap(),
        key: key(&page),
    };
    legacy.database.execute(&recorded("seed.sql"));
    legacy.database.execute("SET search_path = public");
    let before = legacy.database.dump();
    let posts: Vec<Value> = legacy
        .database
        .query(POSTS)
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();

    let plan = legacy.run(&["db", "upgrade", "--dry-run"]);
    assert!(plan.contains("stay as they are") && plan.contains("0005_post_search"), "{plan}");
    assert_eq!(legacy.database.dump(), before, "the dry run changed the database");
    legacy.run(&["db", "upgrade"]);
    legacy.run(&["db", "check"]);
    legacy.run(&["db", "verify"]);

    let service = legacy.serve();
    let token = reference_token(&legacy.key, 1);
    let list = service.connect().call("GET", "/posts", &token, None).unwrap().expect(200);
    assert_eq!(list.json(), Value::from(posts));
    let ids: BTreeMap<String, i64> = legacy
        .database
        .query_pairs("SELECT email, id FROM users")
        .into_iter()
        .map(|(email, id)| (email, id.parse().unwrap()))
        .collect();
    let accounts = accounts(&page);
    assert_eq!(accounts.len(), ids.len());
    for (email, password) in accounts {
        let form = format!("username={}&password={password}", email.replace('@', "%40"));
        let login = service.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ));
        let token = login.expect(200).json()["access_token"].as_str().unwrap().to_owned();
        let path = format!("/users/{}", ids[&email]);
        let user = service.connect().call("GET", &path, &token, None).unwrap().expect(200);
        assert_eq!(user.json()["email"], json!(email));
    }
    drop(service);

    // The recorded hashes are strong enough, so no login has rehashed a password.
    legacy.run(&["db", "downgrade", "base"]);
    assert_eq!(legacy.database.dump(), before);
}

/// Signs a token like the reference service: its only claims are the user ID and the expiry.
fn reference_token(key: &str, user: i64) -> String {
    let now = SystemClock.now().as_second();
    let claims = json!({"user_id": user, "exp": now + 600}).to_string();
    forge_with(key, &json!({"alg": "HS256", "typ": "JWT"}).to_string(), &claims)
}
