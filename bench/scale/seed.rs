//! Fills a database: migrates it to the last revision without vote counts, loads it in bulk with
//! SQL, and migrates it to the newest revision. The migrations then build the counts, the indexes
//! and the search index as they do for an operator with that many posts, and the time is printed.

#![expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]
#![expect(clippy::print_stderr, reason = "seeding takes minutes, so it reports its progress")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use post_api::clock::{Clock as _, SystemClock};
use post_api::store::migrate::{SchemaAdmin as _, migrate};
use post_api::store::sqlite::SqliteAdmin;
use rusqlite::{Connection, params};

use super::rng::Rng;

/// Users with posts. They also cast the votes that exist before the measurement.
pub(crate) const AUTHORS: i64 = 1000;

/// Users without a vote. Their IDs follow those of the authors.
pub(crate) const VOTERS: i64 = 1000;

/// Every post whose ID is a multiple of this number is a draft.
pub(crate) const DRAFTS: i64 = 50;

/// A word in about a third of the titles.
pub(crate) const COMMON: &str = "lantern";

/// A word in two titles: one after a quarter of the posts, one after three quarters.
pub(crate) const RARE: &str = "quixotry";

/// The start of every title.
const TITLE_PREFIX: &str = "Banana: ";

/// The last migration before those of the vote counts and the search index.
const BEFORE_COUNTS: usize = 2;

/// The number of words that titles consist of.
const VOCABULARY: i64 = 4000;

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) posts: i64,
    pub(crate) votes: i64,
}

/// Returns the database of this size in the folder. Creates it if it does not exist.
pub(crate) async fn database(folder: &Path, size: Size) -> PathBuf {
    let path = folder.join(format!("posts-{}x{}.db", size.posts, size.votes));
    if path.exists() {
        return path;
    }
    let unfinished = folder.join(format!("unfinished-{}.db", std::process::id()));
    let start = Instant::now();
    upgrade(&unfinished, BEFORE_COUNTS).await;
    load(&unfinished, size);
    eprintln!("{} posts loaded in {:.1?}", size.posts, start.elapsed());
    let start = Instant::now();
    let head = SqliteAdmin::new(&unfinished).migrations().len();
    upgrade(&unfinished, head).await;
    eprintln!("{} posts counted and indexed in {:.1?}", size.posts, start.elapsed());
    std::fs::rename(&unfinished, &path).unwrap();
    path
}

async fn upgrade(path: &Path, target: usize) {
    let mut admin = SqliteAdmin::new(path);
    let mut start = Instant::now();
    migrate(&mut admin, target, SystemClock.now(), |step| {
        eprintln!("  {} in {:.1?}", step.migration.revision, start.elapsed());
        start = Instant::now();
    })
    .await
    .unwrap();
}

/// Loads each table in one transaction. Foreign keys and syncs are off: no other process uses the
/// file.
fn load(path: &Path, size: Size) {
    let mut database = Connection::open(path).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    database.pragma_update(None, "synchronous", "OFF").unwrap();
    let transaction = database.transaction().unwrap();
    insert_users(&transaction);
    transaction.commit().unwrap();
    let transaction = database.transaction().unwrap();
    insert_posts(&transaction, size.posts);
    transaction.commit().unwrap();
    let transaction = database.transaction().unwrap();
    insert_votes(&transaction, size);
    transaction.commit().unwrap();
}

fn insert_users(database: &Connection) {
    let mut insert = database
        .prepare("INSERT INTO users (id, email, password, created_at) VALUES (?1, ?2, '!', 0)")
        .unwrap();
    for id in 1..=AUTHORS + VOTERS {
        insert.execute(params![id, format!("user{id}@example.com")]).unwrap();
    }
}

fn insert_posts(database: &Connection, posts: i64) {
    let mut insert = database
        .prepare(
            "INSERT INTO posts (id, title, content, published, created_at, owner_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .unwrap();
    let words = vocabulary();
    let mut rng = Rng::new(1);
    for id in 1..=posts {
        let mut title = title(&words, &mut rng);
        if id == posts / 4 + 1 || id == posts / 4 * 3 + 1 {
            title.push(' ');
            title.push_str(RARE);
        }
        let content = format!("{title}. ").repeat(5);
        let published = id % DRAFTS != 0;
        let created_at = 1_700_000_000_000_000 + id * 1_000_000;
        let owner = rng.below(AUTHORS) + 1;
        insert.execute(params![id, title, content, published, created_at, owner]).unwrap();
    }
}

fn insert_votes(database: &Connection, size: Size) {
    let mut insert =
        database.prepare("INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)").unwrap();
    let mut rng = Rng::new(2);
    for post in 1..=size.posts {
        let first = rng.below(AUTHORS);
        let mut voters: Vec<i64> =
            (0..size.votes).map(|vote| (first + vote * 101) % AUTHORS + 1).collect();
        voters.sort_unstable();
        for voter in voters {
            let dir = if rng.below(5) == 0 { -1 } else { 1 };
            insert.execute(params![post, voter, dir]).unwrap();
        }
    }
}

/// Returns a title of four to eight words. The first words of the vocabulary are far more frequent
/// than the last.
pub(crate) fn title(words: &[String], rng: &mut Rng) -> String {
    let count = 4 + rng.below(5);
    let chosen: Vec<&str> = (0..count)
        .map(|_| {
            let number = rng.below(1000);
            let rank = number * number * number / (1_000_000_000 / VOCABULARY);
            usize::try_from(rank).ok().and_then(|rank| words.get(rank)).map_or("", String::as_str)
        })
        .collect();
    format!("{TITLE_PREFIX}{}", chosen.join(" "))
}

/// Returns words of two or three syllables, and two that the searches need. The most frequent words
/// come first.
pub(crate) fn vocabulary() -> Vec<String> {
    const STARTS: &[&str] =
        &["b", "br", "c", "d", "dr", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v"];
    const MIDDLES: &[&str] = &["a", "e", "i", "o", "u", "ai", "ee", "ou"];
    const ENDS: &[&str] = &["", "l", "n", "r", "s", "t"];
    let pick = |from: &[&'static str], rng: &mut Rng| {
        let index = rng.below(i64::try_from(from.len()).unwrap());
        from.get(usize::try_from(index).unwrap()).copied().unwrap()
    };
    let mut words = vec![COMMON.to_owned(), "internal".to_owned()];
    let mut rng = Rng::new(3);
    while words.len() < usize::try_from(VOCABULARY).unwrap() {
        let syllables = 2 + rng.below(2);
        let word: String = (0..syllables)
            .flat_map(|_| [pick(STARTS, &mut rng), pick(MIDDLES, &mut rng), pick(ENDS, &mut rng)])
            .collect();
        words.push(word);
    }
    words
}
