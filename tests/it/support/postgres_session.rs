//! Statements of the tests on PostgreSQL, outside the service.

use std::sync::{Mutex, PoisonError};

use post_api::store::postgres::{Address, connect};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, SimpleQueryMessage, SimpleQueryRow};

/// A connection and the runtime that drives it.
pub(super) struct Session {
    client: Client,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Session {
    /// Runs the query in the session, and opens it before if there is none. A server that was
    /// stopped has closed its sessions.
    pub(super) fn query<T: Send>(
        session: &Mutex<Option<Box<Self>>>,
        url: &str,
        sql: &str,
        read: impl Fn(&SimpleQueryRow) -> T + Send + Sync,
    ) -> Vec<T> {
        let on_thread = || {
            // A query that fails panics while it holds the lock, and its session is not used again.
            let mut kept = session.lock().unwrap_or_else(PoisonError::into_inner);
            let mut session = kept.take().unwrap_or_else(|| Box::new(Self::open(url)));
            let mut answer = session.run(sql);
            if answer.as_ref().is_err_and(is_closed) {
                *session = Self::open(url);
                answer = session.run(sql);
            }
            let messages = answer.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
            *kept = Some(session);
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            rows.map(&read).collect()
        };
        std::thread::scope(|scope| join(scope.spawn(on_thread)))
    }

    fn open(url: &str) -> Self {
        let runtime = new_runtime();
        let client = runtime.block_on(connect(&Address::parse(url).unwrap())).unwrap();
        Self { client, runtime: Some(runtime) }
    }

    /// Runs the query, and leaves the session as if it were new.
    fn run(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.runtime.as_ref().unwrap().block_on(async {
            let answer = self.client.simple_query(sql).await?;
            self.client.simple_query("ROLLBACK").await?;
            self.client.simple_query("DISCARD ALL").await?;
            Ok(answer)
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The test may have a runtime itself, in which dropping another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) fn text(row: &SimpleQueryRow, column: usize) -> String {
    row.get(column).unwrap_or("NULL").to_owned()
}

/// Runs the statements in a session of their own.
pub fn execute(url: &str, sql: &str) {
    on_own_thread(async || {
        let client = connect(&Address::parse(url).unwrap()).await.unwrap();
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    });
}

/// Returns the first column of each row as text, from a session of its own.
pub fn query(url: &str, sql: &str) -> Vec<String> {
    Session::query(&Mutex::default(), url, sql, |row| text(row, 0))
}

/// Runs the work on its own thread, as the current one may or may not have a runtime.
pub(super) fn on_own_thread<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| join(scope.spawn(|| new_runtime().block_on(work()))))
}

fn new_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The server ends a session with an error (57P01 and its neighbours), or without a word.
fn is_closed(error: &Error) -> bool {
    error.is_closed() || error.code().is_none_or(|code| code.code().starts_with("57P"))
}
