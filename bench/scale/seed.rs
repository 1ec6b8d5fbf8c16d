//! Fills a database: migrated to the revision before the counts, loaded in bulk by plain SQL, and
//! then migrated to the newest. So the counts, the indexes and the search come into place as they
//! do for an operator with that many posts, and the time they take is told.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![expect(clippy::print_stderr, reason = "seeding takes long: it says how far it is")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use post_api::clock::{Clock as _, SystemClock};
use post_api::store::migrate::{SchemaAdmin as _, migrate};
use post_api::store::sqlite::SqliteAdmin;
use rusqlite::{Connection, params};

use super::rng::Random;

/// Authors, who are also those that voted before the measurement.
pub(crate) const AUTHORS: i64 = 1000;

/// Accounts that have voted on nothing yet; their numbers follow those of the authors.
pub(crate) const VOTERS: i64 = 1000;

/// Every post whose number is a multiple of this is a draft.
pub(crate) const DRAFTS: i64 = 50;

/// A word of about a third of the titles.
pub(crate) const COMMON: &str = "lantern";

/// A word of two titles, at a quarter and at three quarters of the way.
pub(crate) const RARE: &str = "quixotry";

/// What every title begins with.
const OPENING: &str = "Banana: ";

/// The revision up to which the tables have neither counts nor search.
const BARE: usize = 2;

const VOCABULARY: i64 = 4000;

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) posts: i64,
    pub(crate) votes: i64,
}

/// A database of this size in the folder; one that is there already is taken.
pub(crate) async fn database(folder: &Path, size: Size) -> PathBuf {
    let path = folder.join(format!("posts-{}x{}.db", size.posts, size.votes));
    if path.exists() {
        return path;
    }
    let unfinished = folder.join(format!("unfinished-{}.db", std::process::id()));
    let begin = Instant::now();
    upgrade(&unfinished, BARE).await;
    load(&unfinished, size);
    eprintln!("{} posts loaded in {:.1?}", size.posts, begin.elapsed());
    let begin = Instant::now();
    let head = SqliteAdmin::new(&unfinished).migrations().len();
    upgrade(&unfinished, head).await;
    eprintln!("{} posts counted and indexed in {:.1?}", size.posts, begin.elapsed());
    std::fs::rename(&unfinished, &path).unwrap();
    path
}

async fn upgrade(path: &Path, target: usize) {
    let mut admin = SqliteAdmin::new(path);
    let mut begin = Instant::now();
    migrate(&mut admin, target, SystemClock.now(), |step| {
        eprintln!("  {} in {:.1?}", step.migration.revision, begin.elapsed());
        begin = Instant::now();
    })
    .await
    .unwrap();
}

/// One transaction a table: the file is nobody else's yet.
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
    let mut random = Random::new(1);
    for id in 1..=posts {
        let mut title = title(&words, &mut random);
        if id == posts / 4 + 1 || id == posts / 4 * 3 + 1 {
            title.push(' ');
            title.push_str(RARE);
        }
        let content = format!("{title}. ").repeat(5);
        let published = id % DRAFTS != 0;
        let created_at = 1_700_000_000_000_000 + id * 1_000_000;
        let owner = random.below(AUTHORS) + 1;
        insert.execute(params![id, title, content, published, created_at, owner]).unwrap();
    }
}

fn insert_votes(database: &Connection, size: Size) {
    let mut insert =
        database.prepare("INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)").unwrap();
    let mut random = Random::new(2);
    for post in 1..=size.posts {
        let first = random.below(AUTHORS);
        let mut voters: Vec<i64> =
            (0..size.votes).map(|vote| (first + vote * 101) % AUTHORS + 1).collect();
        voters.sort_unstable();
        for voter in voters {
            let direction = if random.below(5) == 0 { -1 } else { 1 };
            insert.execute(params![post, voter, direction]).unwrap();
        }
    }
}

/// Four to eight words; of the vocabulary the first ones come far more often than the last.
pub(crate) fn title(words: &[String], random: &mut Random) -> String {
    let count = 4 + random.below(5);
    let chosen: Vec<&str> = (0..count)
        .map(|_| {
            let draw = random.below(1000);
            let rank = draw * draw * draw / (1_000_000_000 / VOCABULARY);
            usize::try_from(rank).ok().and_then(|rank| words.get(rank)).map_or("", String::as_str)
        })
        .collect();
    format!("{OPENING}{}", chosen.join(" "))
}

/// Words of two to three syllables, and a few that the searches need, the most frequent first.
pub(crate) fn vocabulary() -> Vec<String> {
    const STARTS: &[&str] =
        &["b", "br", "c", "d", "dr", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v"];
    const MIDDLES: &[&str] = &["a", "e", "i", "o", "u", "ai", "ee", "ou"];
    const ENDS: &[&str] = &["", "l", "n", "r", "s", "t"];
    let pick = |from: &[&'static str], random: &mut Random| {
        let index = random.below(i64::try_from(from.len()).unwrap());
        from.get(usize::try_from(index).unwrap()).copied().unwrap()
    };
    let mut words = vec![COMMON.to_owned(), "internal".to_owned()];
    let mut random = Random::new(3);
    while words.len() < usize::try_from(VOCABULARY).unwrap() {
        let syllables = 2 + random.below(2);
        let word: String = (0..syllables)
            .flat_map(|_| {
                [pick(STARTS, &mut random), pick(MIDDLES, &mut random), pick(ENDS, &mut random)]
            })
            .collect();
        words.push(word);
    }
    words
}
