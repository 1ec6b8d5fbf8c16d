//! The four measured routes of the service, as an engineer usually writes them in a week: axum,
//! tower-http and sqlx, with one statement or one transaction for each request. `scripts/bench`
//! compares the service with it.
//!
//! It opens a database that the service has created, and returns the same bodies. Not here: logins,
//! rate limits, audit events, the stream of changes, entity tags, idempotency keys, batches.

mod caller;
mod postgres;
mod posts_and_votes;
mod routes;
mod sqlite;
mod store;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use self::caller::TokenKey;
use self::routes::App;
use self::store::Store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let store = Store::open(&variable("DATABASE_URL")?).await?;
    let app = App { store, key: Arc::new(TokenKey::of_secret(&variable("SECRET_KEY")?)) };
    let port: u16 = variable("PORT")?.parse().context("PORT is no port")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?.tap_io(|connection| {
        // Without this option, the kernel can hold back a response.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, routes::router(app)).await?;
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}
