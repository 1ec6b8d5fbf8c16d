//! The guarantees of writes that share a transaction, without the writer's thread.

mod files;

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::transactions::execute;
use super::*;
use crate::store::sqlite::connection::create_private;

type Answer = oneshot::Receiver<Result<()>>;

thread_local! {
    /// How often the connection requested a lock that another connection held.
    static LOCK_REQUESTS: Cell<u32> = const { Cell::new(0) };
}

struct Database {
    folder: TempDir,
    transactions: Transactions,
}

impl Database {
    /// Creates a table whose foreign key to a parent row is checked at the commit, and the log of changes,
    /// which each transaction reads.
    fn create() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("rows.db");
        create_private(&path).unwrap();
        let mut transactions = Transactions::open(&path).unwrap();
        let connection = &mut transactions.connection;
        let tables = "CREATE TABLE rows (number INTEGER PRIMARY KEY, content BLOB,
                parent INTEGER REFERENCES rows DEFERRABLE INITIALLY DEFERRED);
            CREATE TABLE post_changes (id INTEGER PRIMARY KEY);
            CREATE TABLE change_log (one INTEGER PRIMARY KEY, trimmed_id INTEGER NOT NULL);
            INSERT INTO change_log VALUES (1, 0)";
        connection.execute_batch(tables).unwrap();
        let count: fn(i32) -> bool = |_| {
            LOCK_REQUESTS.set(LOCK_REQUESTS.get() + 1);
            false
        };
        connection.busy_handler(Some(count)).unwrap();
        Self { folder, transactions }
    }

    /// Opens another connection, whose locks conflict like those of another process.
    fn open_another(&self) -> Connection {
        Connection::open(self.folder.path().join("rows.db")).unwrap()
    }

    fn write<const COUNT: usize>(&mut self, writes: [Box<dyn PendingWrite>; COUNT]) {
        self.transactions.group_commit(Vec::from(writes));
    }

    /// Reads the committed rows.
    fn numbers(&self) -> Vec<i64> {
        let another = self.open_another();
        let mut select = another.prepare("SELECT number FROM rows ORDER BY number").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(rusqlite::Result::unwrap).collect()
    }
}

fn pending(
    operation: impl FnMut(&Connection) -> Result<()> + Send + 'static,
) -> (Box<dyn PendingWrite>, Answer) {
    let (answer, outcome) = oneshot::channel();
    (Box::new(Write { operation, outcome: None, answer }), outcome)
}

fn insert(connection: &Connection, number: i64) -> Result<()> {
    connection.execute("INSERT INTO rows (number) VALUES (?1)", [number])?;
    Ok(())
}

fn inserting(number: i64) -> (Box<dyn PendingWrite>, Answer) {
    pending(move |connection| insert(connection, number))
}

/// Inserts a row without its parent: the insert succeeds, and the commit fails.
fn insert_orphan(connection: &Connection) -> Result<()> {
    connection.execute("INSERT INTO rows (number, parent) VALUES (100, 101)", [])?;
    Ok(())
}

fn succeeded(mut answer: Answer) -> bool {
    answer.try_recv().unwrap().is_ok()
}

fn refusal(mut answer: Answer) -> StoreError {
    answer.try_recv().unwrap().unwrap_err()
}

#[test]
fn panicking_write_fails_only_itself() {
    let mut database = Database::create();
    let (first, first_answer) = inserting(1);
    let (panicking, panicking_answer) = pending(|connection| {
        insert(connection, 2)?;
        panic!("on purpose");
    });
    let (last, last_answer) = inserting(3);
    database.write([first, panicking, last]);
    assert!(succeeded(first_answer));
    assert!(matches!(refusal(panicking_answer), StoreError::Internal(_)));
    assert!(succeeded(last_answer));
    assert_eq!(database.numbers(), [1, 3]);
}

#[test]
fn failed_write_leaves_nothing_behind() {
    let mut database = Database::create();
    let (first, first_answer) = inserting(1);
    let (failing, failing_answer) = pending(|connection| {
        insert(connection, 2)?;
        Err(StoreError::CallerRejected)
    });
    let (last, last_answer) = inserting(3);
    database.write([first, failing, last]);
    assert!(succeeded(first_answer));
    assert!(matches!(refusal(failing_answer), StoreError::CallerRejected));
    assert!(succeeded(last_answer));
    assert_eq!(database.numbers(), [1, 3]);
}

#[test]
fn writes_of_a_failed_commit_are_committed_one_by_one() {
    let mut database = Database::create();
    let (first, first_answer) = inserting(1);
    let (orphan, orphan_answer) = pending(insert_orphan);
    let (last, last_answer) = inserting(3);
    database.write([first, orphan, last]);
    assert!(succeeded(first_answer));
    assert!(matches!(refusal(orphan_answer), StoreError::Internal(_)));
    assert!(succeeded(last_answer));
    assert_eq!(database.numbers(), [1, 3]);
    let (next, next_answer) = inserting(4);
    database.write([next]);
    assert!(succeeded(next_answer));
}

#[test]
fn single_write_of_a_failed_commit_is_not_retried() {
    let mut database = Database::create();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let (orphan, answer) = pending(move |connection| {
        counted.fetch_add(1, Ordering::Relaxed);
        insert_orphan(connection)
    });
    database.write([orphan]);
    assert!(matches!(refusal(answer), StoreError::Internal(_)));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(database.numbers().is_empty());
}

#[test]
fn write_whose_client_has_left_is_not_retried() {
    let mut database = Database::create();
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let (left, left_answer) = pending(move |connection| {
        counter.fetch_add(1, Ordering::Relaxed);
        insert(connection, 1)
    });
    let mut leaving = Some(left_answer);
    let (orphan, orphan_answer) = pending(move |connection| {
        drop(leaving.take());
        insert_orphan(connection)
    });
    database.write([orphan, left]);
    assert!(matches!(refusal(orphan_answer), StoreError::Internal(_)));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(database.numbers().is_empty());
}

#[test]
fn lock_of_another_process_is_requested_once_for_all() {
    let mut database = Database::create();
    let another = database.open_another();
    another.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, first_answer) = pending(|_| panic!("nothing runs without the lock"));
    let (last, last_answer) = pending(|_| panic!("nothing runs without the lock"));
    database.write([first, last]);
    assert!(matches!(refusal(first_answer), StoreError::Unavailable(_)));
    assert!(matches!(refusal(last_answer), StoreError::Unavailable(_)));
    assert_eq!(LOCK_REQUESTS.get(), 1);

    another.execute_batch("ROLLBACK").unwrap();
    let (next, next_answer) = inserting(1);
    database.write([next]);
    assert!(succeeded(next_answer));
}

#[test]
fn lock_that_is_lost_between_retries_is_requested_once() {
    let mut database = Database::create();
    let another = Arc::new(Mutex::new(database.open_another()));
    let taker = Arc::clone(&another);
    // Ends the shared transaction, so that another connection can take the lock.
    let (first, first_answer) = pending(move |connection| {
        execute(connection, "ROLLBACK")?;
        taker.lock().unwrap().execute_batch("BEGIN IMMEDIATE")?;
        Err(StoreError::unavailable("the disk has failed"))
    });
    let (second, second_answer) = inserting(1);
    let (third, third_answer) = inserting(2);
    database.write([first, second, third]);
    for answer in [first_answer, second_answer, third_answer] {
        assert!(matches!(refusal(answer), StoreError::Unavailable(_)));
    }
    assert_eq!(LOCK_REQUESTS.get(), 1);
    assert!(database.numbers().is_empty());
}

#[test]
fn write_that_ends_the_transaction_fails_with_its_own_error() {
    let mut database = Database::create();
    let limit = "SELECT page_count + 4 FROM pragma_page_count";
    let pages: i64 =
        database.transactions.connection.query_row(limit, [], |row| row.get(0)).unwrap();
    database.transactions.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let insert_large = |connection: &Connection| {
        let insert = "INSERT INTO rows (number, content) VALUES (2, zeroblob(100000))";
        let outcome = connection.execute(insert, []);
        assert!(connection.is_autocommit(), "the savepoint is still there");
        outcome?;
        Ok(())
    };
    let (first, first_answer) = inserting(1);
    let (large, large_answer) = pending(insert_large);
    let (last, last_answer) = inserting(3);
    database.write([first, large, last]);
    assert!(succeeded(first_answer));
    let error = refusal(large_answer);
    assert!(
        matches!(&error, StoreError::Unavailable(source) if source.to_string().contains("is full"))
    );
    assert!(succeeded(last_answer));
    assert_eq!(database.numbers(), [1, 3]);
}
