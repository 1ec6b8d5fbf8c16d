//! Fills a database before its measurement: every database gets the same users and posts.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use post_api::auth::{Algorithm, Tokens};
use post_api::clock::SystemClock;
use post_api::domain::user::{TokensValidFrom, UserId};
use secrecy::SecretString;

use crate::postgres::Cluster;

pub const USERS: u64 = 10_000;
pub const POSTS: u64 = 10_000;

/// The content of every post.
pub const CONTENT: &str = concat!(
    "A text of some length, as it stands in a post that a person wrote on a train: about the ",
    "weather, the coffee, and the view of the hills behind the lake.",
);

/// The password of every user.
pub const PASSWORD: &str = "plum lantern 83 quay";

/// The secret that signs the tokens.
pub const SECRET: &str = "for measurements only: 0123456789abcdefghijklmnopqrstuvwxyz";

/// The Argon2id parameters of a new installation: memory in KiB, passes, lanes.
pub const HASH: (u32, u32, u32) = (64 * 1024, 3, 4);

pub fn email(user: u64) -> String {
    format!("user{user}@example.com")
}

/// Returns a hash of [`PASSWORD`], as the service stores it.
pub fn stored_hash() -> Result<String> {
    use argon2::{Algorithm, Argon2, Params, Version};
    let (memory, passes, lanes) = HASH;
    let params = Params::new(memory, passes, lanes, Some(32)).context("invalid hash parameters")?;
    let (salt, mut hash) = ([7; 16], [0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD.as_bytes(), &salt, &mut hash)
        .context("could not hash the password")?;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
}

/// Returns one token per user, in the order of their IDs. The tokens are older than the users, whose
/// `tokens_valid_from` is therefore 1970.
pub fn tokens() -> Result<Rc<Vec<String>>> {
    let issuer = issuer()?;
    let token =
        |user: u64| Ok(issuer.issue(UserId(user.cast_signed()), TokensValidFrom::default())?);
    Ok(Rc::new((1..=USERS).map(token).collect::<Result<_>>()?))
}

pub fn issuer() -> Result<Tokens> {
    let lifetime = Duration::from_hours(24);
    let clock = std::sync::Arc::new(SystemClock);
    Ok(Tokens::new(&SecretString::from(SECRET), Algorithm::HS256, lifetime, clock)?)
}

/// Fills a PostgreSQL database that has the schema of the service.
pub fn fill_postgres(cluster: &Cluster, database: &str, hash: &str) -> Result<()> {
    cluster.execute(
        database,
        &format!(
            "INSERT INTO users (email, password, tokens_valid_from)
             SELECT format('user%s@example.com', n), '{hash}', 'epoch'
               FROM generate_series(1, {USERS}) AS n;
             INSERT INTO posts (title, content, published, owner_id)
             SELECT 'Post ' || n, '{CONTENT}', TRUE, n FROM generate_series(1, {POSTS}) AS n;"
        ),
    )?;
    cluster.execute(database, "VACUUM ANALYZE")
}

/// Fills a SQLite database that has the schema of the service.
pub fn fill_sqlite(path: &Path, hash: &str) -> Result<()> {
    let mut connection = rusqlite::Connection::open(path)?;
    let transaction = connection.transaction()?;
    {
        let mut user = transaction.prepare(
            "INSERT INTO users (email, password, created_at) VALUES (?1, ?2, 1738324800123456)",
        )?;
        for id in 1..=USERS {
            user.execute((email(id), hash))?;
        }
        let mut post = transaction.prepare(
            "INSERT INTO posts (title, content, published, created_at, owner_id)
             VALUES (?1, ?2, 1, 1738324800123456, ?3)",
        )?;
        for id in 1..=POSTS {
            post.execute((format!("Post {id}"), CONTENT, id.cast_signed()))?;
        }
    }
    transaction.commit()?;
    connection.execute_batch("ANALYZE")?;
    Ok(())
}
