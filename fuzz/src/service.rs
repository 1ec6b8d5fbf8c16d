//! The whole service in this process, with the same few accounts and posts before every input.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use post_api::domain::policy::Policy;
use tokio::runtime::{Builder, Runtime};

use crate::support::{Answer, Engine, Setup, TestApp};

/// The accounts that there are, and the number of one that there is not.
pub(crate) const AUTHOR: i64 = 1;
pub(crate) const STRANGER: i64 = 2;
pub(crate) const NOBODY: i64 = 4711;

/// The author's public post, and their draft.
pub(crate) const POST: i64 = 1;
pub(crate) const DRAFT: i64 = 2;

pub(crate) struct Service {
    runtime: Runtime,
    app: TestApp,
    /// Makes things as they were.
    restore: String,
    is_changed: AtomicBool,
}

impl Service {
    /// In the default mode or in that of the reference, on the store that `TEST_STORE` says.
    pub(crate) fn start(is_reference: bool) -> Self {
        // Hashing, the stores and their lanes have threads and tasks of their own.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let policy = if is_reference { Policy::reference() } else { Policy::default() };
        let setup = Setup { policy, ..Setup::default() };
        let engine = setup.engine;
        let app = runtime.block_on(TestApp::set_up(setup));
        runtime.block_on(async {
            let author = app.signed_in("author").await;
            let stranger = app.signed_in("stranger").await;
            let (post, draft) =
                (author.write_post("public").await, author.write_draft("draft").await);
            assert_eq!((author.id, stranger.id, post, draft), (AUTHOR, STRANGER, POST, DRAFT));
        });
        let restore =
            script(engine, &app.query_pairs("SELECT email, password FROM users ORDER BY id"));
        Self { runtime, app, restore, is_changed: AtomicBool::new(true) }
    }

    pub(crate) fn app(&self) -> &TestApp {
        &self.app
    }

    /// Puts everything back if a request since the last time may have changed something.
    pub(crate) fn reset(&self) {
        if self.is_changed.swap(false, Ordering::Relaxed) {
            self.app.execute(&self.restore);
        }
    }

    /// For those whose requests do not come through [`Service::send`].
    pub(crate) fn mark_as_changed(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn send(&self, request: Request<Body>) -> Answer {
        let changes = request.method() != Method::GET;
        let answer = self.runtime.block_on(self.app.send(request));
        if changes && answer.status.is_success() {
            self.mark_as_changed();
        }
        answer
    }

    pub(crate) fn token_of(&self, user: i64) -> String {
        self.app.token_for(user)
    }
}

impl Drop for Service {
    /// The database goes while the runtime is there.
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
    }
}

/// The accounts with their hashes, their posts, no votes, and numbers that begin after them.
fn script(engine: Engine, accounts: &[(String, String)]) -> String {
    let [(_, author), (_, stranger)] = accounts else { panic!("two accounts: {accounts:?}") };
    let (begin, time, yes, no, numbers) = match engine {
        Engine::Sqlite => (
            // The index of the search is read before the first change: a transaction that began as a
            // reader's is turned away at once where the service's writer is in the middle of something.
            "BEGIN IMMEDIATE",
            "1738324800123456",
            "1",
            "0",
            "UPDATE sqlite_sequence SET seq = 2 WHERE name IN ('users', 'posts');",
        ),
        Engine::Postgres => (
            "BEGIN",
            "'2025-01-31T12:00:00.123456Z'",
            "TRUE",
            "FALSE",
            "SELECT setval('users_id_seq', 2), setval('posts_id_seq', 2);",
        ),
    };
    format!(
        "{begin};
         DELETE FROM users;
         INSERT INTO users (id, email, password, created_at) VALUES
             ({AUTHOR}, 'author@example.com', '{author}', {time}),
             ({STRANGER}, 'stranger@example.com', '{stranger}', {time});
         INSERT INTO posts (id, owner_id, published, created_at, title, content) VALUES
             ({POST}, {AUTHOR}, {yes}, {time}, 'public', 'text'),
             ({DRAFT}, {AUTHOR}, {no}, {time}, 'draft', 'text');
         {numbers}
         COMMIT;"
    )
}
