//! Runs the whole service in this process, with the same accounts and posts before every input.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use post_api::domain::policy::Policy;
use tokio::runtime::{Builder, Runtime};

use crate::support::{Engine, Setup, TestApp, TestResponse};

/// The IDs of the two accounts, and an ID without an account.
pub(crate) const AUTHOR: i64 = 1;
pub(crate) const OTHER_USER: i64 = 2;
pub(crate) const MISSING_USER: i64 = 4711;

/// The published post of the author, and their draft.
pub(crate) const POST: i64 = 1;
pub(crate) const DRAFT: i64 = 2;

pub(crate) struct Service {
    runtime: Runtime,
    app: TestApp,
    /// The SQL that restores the accounts and posts.
    restore: String,
    is_changed: AtomicBool,
}

impl Service {
    /// Starts the service in the default or the reference mode, on the store of `TEST_STORE`.
    pub(crate) fn start(is_reference: bool) -> Self {
        // Hashing, the stores and their batchers run on their own threads and tasks.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let policy = if is_reference { Policy::reference() } else { Policy::default() };
        // Most inputs have unknown fields, which the service ignores.
        let setup = Setup { policy, checks_requests: false, ..Setup::default() };
        let engine = setup.engine;
        let app = runtime.block_on(TestApp::set_up(setup));
        runtime.block_on(async {
            let author = app.signed_in("author").await;
            let other = app.signed_in("otheruser").await;
            let (post, draft) =
                (author.write_post("public").await, author.write_draft("draft").await);
            assert_eq!((author.id, other.id, post, draft), (AUTHOR, OTHER_USER, POST, DRAFT));
        });
        let restore = restore_script(
            engine,
            &app.query_pairs("SELECT email, password FROM users ORDER BY id"),
        );
        Self { runtime, app, restore, is_changed: AtomicBool::new(true) }
    }

    pub(crate) fn app(&self) -> &TestApp {
        &self.app
    }

    /// Restores the database if a request since the last reset may have changed it.
    pub(crate) fn reset(&self) {
        if self.is_changed.swap(false, Ordering::Relaxed) {
            self.app.execute(&self.restore);
        }
    }

    /// For requests that do not go through [`Service::send`].
    pub(crate) fn mark_as_changed(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Sends the request. Panics unless the document describes the response, which must not be a
    /// failure of the service.
    pub(crate) fn send(&self, request: Request<Body>) -> TestResponse {
        let may_change = request.method() != Method::GET;
        let response = self.runtime.block_on(self.app.send(request));
        let status = response.status.as_u16();
        assert!(status < 500 || status == 501, "{response:?}");
        if may_change && response.status.is_success() {
            self.mark_as_changed();
        }
        response
    }

    pub(crate) fn token_of(&self, user: i64) -> String {
        self.app.token_for(user)
    }
}

impl Drop for Service {
    /// Drops the database inside of the runtime, which it needs.
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
    }
}

/// Returns SQL that restores the accounts with their password hashes and posts, removes all votes
/// and resets the ID sequences.
fn restore_script(engine: Engine, accounts: &[(String, String)]) -> String {
    let [(_, author), (_, other)] = accounts else { panic!("not two accounts: {accounts:?}") };
    let (begin, time, unrevoked, yes, no, reset_ids) = match engine {
        Engine::Sqlite => (
            // The search index is read before the first write. SQLite rejects the upgrade of a read
            // transaction at once while the writer of the service holds the lock.
            "BEGIN IMMEDIATE",
            "1738324800123456",
            "0",
            "1",
            "0",
            "UPDATE sqlite_sequence SET seq = 2 WHERE name IN ('users', 'posts');",
        ),
        Engine::Postgres => (
            "BEGIN",
            "'2025-01-31T12:00:00.123456Z'",
            "to_timestamp(0)",
            "TRUE",
            "FALSE",
            "SELECT setval('users_id_seq', 2), setval('posts_id_seq', 2);",
        ),
    };
    format!(
        "{begin};
         DELETE FROM users;
         INSERT INTO users (id, email, password, created_at, tokens_valid_from) VALUES
             ({AUTHOR}, 'author@example.com', '{author}', {time}, {unrevoked}),
             ({OTHER_USER}, 'otheruser@example.com', '{other}', {time}, {unrevoked});
         INSERT INTO posts (id, owner_id, published, created_at, title, content) VALUES
             ({POST}, {AUTHOR}, {yes}, {time}, 'public', 'text'),
             ({DRAFT}, {AUTHOR}, {no}, {time}, 'draft', 'text');
         {reset_ids}
         COMMIT;"
    )
}
