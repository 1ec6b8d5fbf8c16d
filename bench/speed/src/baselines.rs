//! The same work without a service: what there is to be had.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::comparison::Reading;
use crate::load::precise;
use crate::seed::{CONTENT, HASH, PASSWORD, POSTS, USERS};

/// Durable writes of one thread on a database of SQLite, each with a commit of its own.
pub struct SqliteFloor {
    connection: rusqlite::Connection,
    random: fastrand::Rng,
}

impl SqliteFloor {
    pub fn open(path: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(Self { connection, random: fastrand::Rng::with_seed(11) })
    }

    pub fn vote(&mut self, time: Duration) -> Result<Reading> {
        let Self { connection, random } = self;
        let mut statement = connection.prepare(
            "INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)
             ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir WHERE dir <> excluded.dir",
        )?;
        repeat(time, || {
            let (post, user) = (1 + random.i64(0..signed(POSTS)), 1 + random.i64(0..signed(USERS)));
            statement.execute((post, user, if random.bool() { 1 } else { -1 }))?;
            Ok(())
        })
    }

    pub fn create_post(&mut self, time: Duration) -> Result<Reading> {
        let Self { connection, random } = self;
        let mut statement = connection.prepare(
            "INSERT INTO posts (title, content, published, created_at, owner_id)
             VALUES ('Post of a load', ?1, 1, 1738324800123456, ?2)",
        )?;
        repeat(time, || {
            statement.execute((CONTENT, 1 + random.i64(0..signed(USERS))))?;
            Ok(())
        })
    }
}

fn signed(count: u64) -> i64 {
    count.cast_signed()
}

fn repeat(time: Duration, mut work: impl FnMut() -> Result<()>) -> Result<Reading> {
    let (began, mut done) = (Instant::now(), 0);
    while began.elapsed() < time {
        work()?;
        done += 1;
    }
    Ok(Reading::of(precise(done) / began.elapsed().as_secs_f64()))
}

/// Hashes a second on all cores, one on each at a time, each thread with memory that it keeps.
pub fn hash(time: Duration) -> Result<Reading> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let threads: Vec<_> =
        (0..cores).map(|_| std::thread::spawn(move || hash_until(began + time))).collect();
    let mut done = 0;
    for thread in threads {
        done += thread.join().map_err(|_| anyhow!("a hash panicked"))??;
    }
    Ok(Reading::of(precise(done) / began.elapsed().as_secs_f64()))
}

fn hash_until(end: Instant) -> Result<u64> {
    let (memory, passes, lanes) = HASH;
    let params = Params::new(memory, passes, lanes, Some(32)).context("parameters of a hash")?;
    let mut blocks = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut done, mut out) = (0, [0; 32]);
    while Instant::now() < end {
        let hashed = argon2.hash_password_into_with_memory(
            PASSWORD.as_bytes(),
            &[7; 16],
            &mut out,
            &mut blocks,
        );
        hashed.context("a hash")?;
        done += 1;
    }
    Ok(done)
}
