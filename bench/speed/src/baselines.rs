//! Baselines without a service: SQLite with one commit per write, and hashing on all cores.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::comparison::Measurement;
use crate::load::to_f64;
use crate::seed::{CONTENT, HASH, PASSWORD, POSTS, USERS};

/// Durable writes of one thread to a SQLite database, one commit per write.
pub struct SqliteBaseline {
    connection: rusqlite::Connection,
    rng: fastrand::Rng,
}

impl SqliteBaseline {
    /// Opens the database with the durability of the service: WAL and `synchronous=FULL`.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(Self { connection, rng: fastrand::Rng::with_seed(11) })
    }

    /// Returns the votes per second.
    pub fn cast_votes(&mut self, time: Duration) -> Result<Measurement> {
        let Self { connection, rng } = self;
        let mut statement = connection.prepare(
            "INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)
             ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir WHERE dir <> excluded.dir",
        )?;
        measure_rate(time, || {
            let (post, user) = (1 + rng.i64(0..signed(POSTS)), 1 + rng.i64(0..signed(USERS)));
            statement.execute((post, user, if rng.bool() { 1 } else { -1 }))?;
            Ok(())
        })
    }

    /// Returns the posts per second.
    pub fn create_posts(&mut self, time: Duration) -> Result<Measurement> {
        let Self { connection, rng } = self;
        let mut statement = connection.prepare(
            "INSERT INTO posts (title, content, published, created_at, owner_id)
             VALUES ('Post of a load', ?1, 1, 1738324800123456, ?2)",
        )?;
        measure_rate(time, || {
            statement.execute((CONTENT, 1 + rng.i64(0..signed(USERS))))?;
            Ok(())
        })
    }
}

fn signed(count: u64) -> i64 {
    count.cast_signed()
}

/// Calls the function until the time is over. Returns the calls per second.
fn measure_rate(time: Duration, mut call: impl FnMut() -> Result<()>) -> Result<Measurement> {
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < time {
        call()?;
        calls += 1;
    }
    Ok(Measurement::new(to_f64(calls) / start.elapsed().as_secs_f64()))
}

/// Returns the hashes per second on all cores: one thread per core, each with reused memory.
pub fn hash_passwords(time: Duration) -> Result<Measurement> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let threads: Vec<_> =
        (0..cores).map(|_| std::thread::spawn(move || hash_until(start + time))).collect();
    let mut hashes = 0;
    for thread in threads {
        hashes += thread.join().map_err(|_| anyhow!("a hashing thread panicked"))??;
    }
    Ok(Measurement::new(to_f64(hashes) / start.elapsed().as_secs_f64()))
}

fn hash_until(end: Instant) -> Result<u64> {
    let (memory, passes, lanes) = HASH;
    let params = Params::new(memory, passes, lanes, Some(32)).context("invalid hash parameters")?;
    let mut blocks = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut hashes, mut hash) = (0, [0; 32]);
    while Instant::now() < end {
        argon2
            .hash_password_into_with_memory(PASSWORD.as_bytes(), &[7; 16], &mut hash, &mut blocks)
            .context("could not hash the password")?;
        hashes += 1;
    }
    Ok(hashes)
}
