//! The database file alone, after clean stops of many sizes, and earlier copies of it beside the log
//! of a crash.

use std::path::Path;
use std::sync::Arc;

use post_api::domain::caller::{Caller, ValidFromRange};
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::PostContent;
use post_api::domain::text::Text;
use post_api::domain::user::UserId;
use post_api::store::sqlite::SqliteStore;
use post_api::store::{CallerStore as _, CloseStore as _, PostStore as _};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::KEY;
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{PASSWORD, Service, Wire};

/// Writes before a stop. The log is copied into the file in the middle of the larger ones.
const SIZES: [usize; 5] = [1, 50, 300, 1100, 20_000];

/// Connections that write at the same time.
const CLIENTS: usize = 8;

fn start(folder: &Path) -> Service {
    Service::start_in(folder, &[("SECRET_KEY", KEY)])
}

fn sign_up(folder: &Path) -> String {
    let mut service = start(folder);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    service.terminate();
    assert!(service.wait().success());
    token
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap()
}

/// Writes this many posts over HTTP, each with a content of up to `bytes`.
fn write(service: &Service, token: &str, posts: usize, bytes: usize, seed: u64) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let count = posts / CLIENTS + usize::from(client < posts % CLIENTS);
            let mut rng = Rng::new(seed.wrapping_add(u64::try_from(client).unwrap()));
            scope.spawn(move || {
                let mut wire: Wire = service.connect();
                for _ in 0..count {
                    let content = "x".repeat(below(&mut rng, bytes));
                    let post = json!({"title": "title", "content": content});
                    wire.call("POST", "/posts", token, Some(&post)).unwrap().expect(201);
                }
            });
        }
    });
}

/// Writes this many posts into the store itself, and closes the store.
fn write_in_process(database: &Path, posts: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(database).unwrap());
        let caller = Caller {
            user_id: UserId(1),
            draft_visibility: DraftVisibility::Private,
            valid_from_range: ValidFromRange::default(),
        };
        store.find_caller(caller).await.unwrap();
        let tasks: Vec<_> = (0..256)
            .map(|task| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for _ in (task..posts).step_by(256) {
                        let content = PostContent {
                            title: Text::parse("title").unwrap(),
                            content: Text::parse("x".repeat(200)).unwrap(),
                            published: true,
                        };
                        store
                            .create_post(caller, content, jiff::Timestamp::UNIX_EPOCH)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        store.close().await;
    });
}

/// Counts the posts in a copy of the file without its log. The copy must be sound.
fn count_in_file(database: &Path, seed: &str) -> usize {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(database, &copy).unwrap();
    count(&copy, seed)
}

fn count(database: &Path, seed: &str) -> usize {
    let database = Connection::open(database).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{seed}");
    let posts: u32 =
        database.query_row("SELECT count(*) FROM posts", [], |row| row.get(0)).unwrap();
    usize::try_from(posts).unwrap()
}

#[test]
fn clean_stop_leaves_every_write_in_one_file() {
    let mut budget = Budget::new("clean stop, embedded", 5);
    let mut totals = [0; SIZES.len()];
    while let Some(seed) = budget.next_round() {
        let name = budget.name_round();
        let number = usize::try_from(budget.rounds() - 1).unwrap() % SIZES.len();
        let size = SIZES[number];
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let database = data.join("posts.db");
        let token = sign_up(folder.path());
        if size > 2000 {
            write_in_process(&database, size);
        } else {
            let mut service = start(folder.path());
            write(&service, &token, size, 40_000, seed);
            service.signal(if seed % 2 == 0 { "-TERM" } else { "-INT" });
            assert!(service.wait().success(), "{name}");
        }
        for file in ["posts.db-wal", "posts.db-shm"] {
            assert!(!data.join(file).exists(), "{name}: {size} writes leave {file}");
        }
        assert_eq!(count_in_file(&database, &name), size, "{name}");
        totals[number] += 1;
    }
    for (size, rounds) in SIZES.iter().zip(totals) {
        budget.report(&format!("stops after {size} writes, all in one file"), rounds);
    }
}

/// A file that is put back beside the log of a crash is refused, or the log makes the state of the
/// crash of it. Rows are never lost or damaged without a word.
#[test]
fn copy_beside_the_log_of_a_crash_is_refused_or_complete() {
    let mut budget = Budget::new("restore beside a log, embedded", 3);
    let mut rng = Rng::new(budget.seed());
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("data/posts.db");
    let token = sign_up(folder.path());
    let mut copies = vec![std::fs::read(&database).unwrap()];
    let (mut refused, mut complete, mut posts) = (0, 0, 0);
    while let Some(seed) = budget.next_round() {
        let name = budget.name_round();
        let mut service = start(folder.path());
        let written = 1 + below(&mut rng, 60);
        let bytes = [100, 40_000, 900_000][below(&mut rng, 3)];
        write(&service, &token, written, bytes, seed);
        posts += written;
        // As the operator's `cp` beside the running service.
        copies.push(std::fs::read(&database).unwrap());
        service.kill();

        for _ in 0..4 {
            let restored = TempDir::new().unwrap();
            let data = restored.path().join("data");
            std::fs::create_dir(&data).unwrap();
            let copy = &copies[below(&mut rng, copies.len())];
            std::fs::write(data.join("posts.db"), copy).unwrap();
            std::fs::copy(folder.path().join("data/posts.db-wal"), data.join("posts.db-wal"))
                .unwrap();
            let mut command = Service::command(restored.path());
            let output = command.args(["db", "verify"]).output().unwrap();
            match output.status.code() {
                Some(3) => {
                    assert_eq!(&std::fs::read(data.join("posts.db")).unwrap(), copy, "{name}");
                    refused += 1;
                }
                Some(0) => {
                    assert_eq!(count(&data.join("posts.db"), &name), posts, "{name}");
                    complete += 1;
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        let mut service = start(folder.path());
        service.terminate();
        assert!(service.wait().success(), "{name}");
        assert_eq!(count_in_file(&database, &name), posts, "{name}");
        copies.push(std::fs::read(&database).unwrap());
        if copies.len() > 12 {
            copies.remove(0);
        }
    }
    budget.report("copies beside a log, refused", refused);
    budget.report("copies beside a log, complete", complete);
}
