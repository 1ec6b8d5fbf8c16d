//! The files of the database: at the end, while idle, and when they lose their names.

use super::*;
use crate::metrics::{Histogram, MEMBERS};

/// Returns the numbers in a copy of the database file without its log.
fn numbers_in_file(path: &Path) -> rusqlite::Result<Vec<i64>> {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(path, &copy).unwrap();
    let database = Connection::open(copy)?;
    let mut select = database.prepare("SELECT number FROM rows ORDER BY number")?;
    select.query_map([], |row| row.get(0))?.collect()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn close_leaves_one_complete_file() {
    let mut database = Database::create();
    let (write, answer) = inserting(1);
    database.write([write]);
    assert!(succeeded(answer));
    database.transactions.close();
    assert_eq!(names(&database.folder), ["rows.db"]);
    assert_eq!(numbers_in_file(&database.folder.path().join("rows.db")).unwrap(), [1]);
}

/// The file of an open connection cannot be removed.
#[test]
fn close_beside_another_connection_empties_the_log() {
    let mut database = Database::create();
    let another = database.open_another();
    another.execute_batch("SELECT * FROM rows").unwrap();
    let (write, _answer) = inserting(1);
    database.write([write]);
    database.transactions.close();
    assert_eq!(std::fs::metadata(database.folder.path().join("rows.db-wal")).unwrap().len(), 0);
    assert_eq!(numbers_in_file(&database.folder.path().join("rows.db")).unwrap(), [1]);
}

#[test]
fn close_beside_a_read_transaction_leaves_the_log() {
    let mut database = Database::create();
    let another = database.open_another();
    another.execute_batch("BEGIN; SELECT * FROM rows").unwrap();
    let (write, _answer) = inserting(1);
    database.write([write]);
    database.transactions.close();
    assert!(std::fs::metadata(database.folder.path().join("rows.db-wal")).unwrap().len() > 0);
    another.execute_batch("ROLLBACK").unwrap();
    let numbers: Vec<i64> = another
        .prepare("SELECT number FROM rows")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    assert_eq!(numbers, [1]);
}

/// Another database may have the names by now.
#[test]
fn close_of_a_moved_database_keeps_the_files_at_its_name() {
    let mut database = Database::create();
    let (write, _answer) = inserting(1);
    database.write([write]);
    let moved = TempDir::new().unwrap();
    for name in names(&database.folder) {
        std::fs::rename(database.folder.path().join(&name), moved.path().join(&name)).unwrap();
        std::fs::write(database.folder.path().join(&name), "another").unwrap();
    }
    database.transactions.close();
    for name in ["rows.db", "rows.db-shm", "rows.db-wal"] {
        let content = std::fs::read(database.folder.path().join(name)).unwrap();
        assert_eq!(content, b"another", "{name}");
    }
    assert_eq!(numbers_in_file(&moved.path().join("rows.db")).unwrap(), [1]);
}

/// SQLite would remove the file at the name of the log, although it is not the log.
#[test]
fn close_beside_another_log_keeps_both() {
    let mut database = Database::create();
    let (write, _answer) = inserting(1);
    database.write([write]);
    let (log, aside) =
        (database.folder.path().join("rows.db-wal"), database.folder.path().join("aside"));
    std::fs::rename(&log, aside).unwrap();
    std::fs::write(&log, "another").unwrap();
    database.transactions.close();
    assert_eq!(std::fs::read(&log).unwrap(), b"another");
    assert_eq!(numbers_in_file(&database.folder.path().join("rows.db")).unwrap(), [1]);
}

#[tokio::test]
async fn idle_writer_copies_the_log_into_the_file() {
    let database = Database::create();
    let Database { folder, transactions } = database;
    let path = folder.path().join("rows.db");
    let (queue, receiver) = JobQueue::bounded(1);
    let thread = std::thread::spawn(move || {
        run_transactions(transactions, &receiver, Duration::ZERO, &Histogram::new(&MEMBERS));
    });
    let (write, answer) = inserting(1);
    queue.try_send(write).unwrap();
    answer.await.unwrap().unwrap();
    let end = std::time::Instant::now() + Duration::from_mins(1);
    while numbers_in_file(&path).unwrap_or_default() != [1] {
        assert!(std::time::Instant::now() < end, "the log is not copied");
        std::thread::yield_now();
    }
    queue.close();
    thread.join().unwrap();
}

#[test]
fn writes_are_refused_while_a_file_lacks_its_name() {
    for name in ["rows.db", "rows.db-wal", "rows.db-shm"] {
        let mut database = Database::create();
        let (path, aside) =
            (database.folder.path().join(name), database.folder.path().join("aside"));
        for (number, is_replaced) in [(1, false), (3, true)] {
            std::fs::rename(&path, &aside).unwrap();
            if is_replaced {
                std::fs::copy(&aside, &path).unwrap();
            }
            let (write, answer) = inserting(number);
            database.write([write]);
            assert!(matches!(refusal(answer), StoreError::Unavailable(_)), "{name}");
            // As a readiness check does.
            let (check, answer) = pending(|_| Ok(()));
            database.write([check]);
            assert!(matches!(refusal(answer), StoreError::Unavailable(_)), "{name}");
            std::fs::rename(&aside, &path).unwrap();
            let (write, answer) = inserting(number + 1);
            database.write([write]);
            assert!(succeeded(answer), "{name}");
        }
        assert_eq!(database.numbers(), [2, 4], "{name}");
    }
}

/// Readiness must not wear the disk, and must notice that writes fail.
#[test]
fn empty_transaction_writes_only_after_a_failed_write() {
    let mut database = Database::create();
    let log = database.folder.path().join("rows.db-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    let before = size();
    let (check, answer) = pending(|_| Ok(()));
    database.write([check]);
    assert!(succeeded(answer));
    assert_eq!(size(), before);

    database.transactions.connection.pragma_update(None, "query_only", true).unwrap();
    for (write, answer) in [inserting(1), pending(|_| Ok(())), pending(|_| Ok(()))] {
        database.write([write]);
        assert!(matches!(refusal(answer), StoreError::Unavailable(_)));
    }
    database.transactions.connection.pragma_update(None, "query_only", false).unwrap();
    let (check, answer) = pending(|_| Ok(()));
    database.write([check]);
    assert!(succeeded(answer));
    let after = size();
    assert!(after > before);
    let (check, answer) = pending(|_| Ok(()));
    database.write([check]);
    assert!(succeeded(answer));
    assert_eq!(size(), after);
}

#[test]
fn file_that_can_only_be_read_is_refused() {
    let database = Database::create();
    let path = database.folder.path().join("rows.db");
    let uri = format!("file:{}?mode=ro", path.display());
    let error = Transactions::open(Path::new(&uri)).err().unwrap();
    let StoreError::Unavailable(source) = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("rows.db?mode=ro cannot be written: give"), "{source}");
}
