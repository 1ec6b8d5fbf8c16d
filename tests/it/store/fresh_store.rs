//! An empty store for each case, and short helpers for the setup of most cases.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use post_api::domain::caller::{Caller, ValidFromRange};
use post_api::domain::email::Email;
use post_api::domain::page::Page;
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::{Post, PostContent, PostId, PostWithVotes};
use post_api::domain::text::Text;
use post_api::domain::user::{NewUser, PasswordHash, TokensValidFrom, UserId};
use post_api::domain::vote::{Direction, Vote};
use post_api::store::postgres::{Address, PoolLimits, PostgresOperator, PostgresStore};
use post_api::store::sqlite::{SqliteOperator, SqliteStore};
use post_api::store::{CreateUser, OperatorStore, Result, Store, StoreError, VoteOutcome};
use tempfile::TempDir;

use crate::support::{Cluster, PostgresDatabase, create_sqlite_file};

/// The time in every case, in microseconds: 2025-01-31T12:00:00.123456Z.
pub const NOON: i64 = 1_738_324_800_123_456;

/// A store that only one case uses.
pub struct FreshStore {
    store: Arc<dyn Store>,
    database: TestDatabase,
}

/// The database of a [`FreshStore`], removed when the case ends.
enum TestDatabase {
    Sqlite(TempDir),
    Postgres(PostgresDatabase<'static>),
    Shared,
}

/// Opens a store on a new SQLite file.
pub async fn sqlite() -> FreshStore {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("posts.db");
    create_sqlite_file(&path).await;
    FreshStore {
        store: Arc::new(SqliteStore::open(&path).unwrap()),
        database: TestDatabase::Sqlite(folder),
    }
}

/// Opens a store on a new PostgreSQL database.
pub async fn postgres() -> FreshStore {
    postgres_with(PoolLimits::default())
}

pub fn postgres_with(limits: PoolLimits) -> FreshStore {
    let database = Cluster::shared().database();
    let store = Arc::new(PostgresStore::open_with(&database.address(), limits).unwrap());
    FreshStore { store, database: TestDatabase::Postgres(database) }
}

impl Deref for FreshStore {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        self.store.as_ref()
    }
}

impl FreshStore {
    /// Wraps a store whose database belongs to the test.
    pub fn shared(store: Arc<dyn Store>) -> Self {
        Self { store, database: TestDatabase::Shared }
    }

    /// Installs a trigger that rejects every new row of the table.
    pub fn reject_rows(&self, table: &str) {
        self.reject_rows_if(table, "1 = 1");
    }

    /// Installs a trigger that rejects the new rows of the table for which the condition holds.
    pub fn reject_rows_if(&self, table: &str, condition: &str) {
        self.execute(&match &self.database {
            TestDatabase::Sqlite(_) => format!(
                "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN {condition}
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            ),
            _ => format!(
                "CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql
                     AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT ON {table}
                     FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse_{table}()"
            ),
        });
    }

    /// Runs SQL of an operator.
    pub fn execute(&self, sql: &str) {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                let database = rusqlite::Connection::open(folder.path().join("posts.db")).unwrap();
                database.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
            }
            TestDatabase::Postgres(database) => database.execute(sql),
            TestDatabase::Shared => panic!("only the test can access its database"),
        }
    }

    pub fn postgres_address(&self) -> Address {
        match &self.database {
            TestDatabase::Postgres(database) => database.address(),
            _ => panic!("the store has no PostgreSQL database of its own"),
        }
    }

    /// Opens another store on the same database, as another process does.
    pub fn open_another(&self) -> Self {
        let store: Arc<dyn Store> = match &self.database {
            TestDatabase::Sqlite(folder) => {
                Arc::new(SqliteStore::open(&folder.path().join("posts.db")).unwrap())
            }
            TestDatabase::Postgres(database) => {
                Arc::new(PostgresStore::open(&database.address()).unwrap())
            }
            TestDatabase::Shared => panic!("only the test can access its database"),
        };
        Self::shared(store)
    }

    /// Opens what an operator's commands use, on the same database.
    pub fn operator(&self) -> Box<dyn OperatorStore> {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                Box::new(SqliteOperator::new(&folder.path().join("posts.db")))
            }
            TestDatabase::Postgres(database) => {
                Box::new(PostgresOperator::open(&database.address()).unwrap())
            }
            TestDatabase::Shared => panic!("only the test can access its database"),
        }
    }

    /// Ends the registration of every reader of changes, as after an hour.
    pub fn expire_listening(&self) {
        self.execute(match &self.database {
            TestDatabase::Sqlite(_) => "UPDATE change_log SET until = 1",
            _ => {
                "UPDATE change_log SET until = now() - interval '1 minute';
                 SELECT setval('change_until_seq', 1)"
            }
        });
    }

    /// Moves the end of the registration by some seconds, as a clock that is set back does. A
    /// negative number is a clock that is set forward. A log that has ended stays so.
    pub fn move_end_of_listening(&self, seconds: i64) {
        self.execute(&match &self.database {
            TestDatabase::Sqlite(_) => {
                format!("UPDATE change_log SET until = until + {seconds} * 1000000 WHERE until > 0")
            }
            _ => format!(
                "UPDATE change_log SET until = until + {seconds} * interval '1 second';
                 SELECT setval('change_until_seq', last_value + {seconds})
                   FROM change_until_seq WHERE last_value > 1"
            ),
        });
    }

    /// Makes the changes up to this number older than an hour.
    pub fn age_changes(&self, up_to: i64) {
        let hour_ago = match &self.database {
            TestDatabase::Sqlite(_) => "at - 3600000001",
            _ => "at - interval '1 hour 1 second'",
        };
        self.execute(&format!("UPDATE post_changes SET at = {hour_ago} WHERE id <= {up_to}"));
    }

    /// Waits until the rows of every closed account are deleted, for two minutes at most.
    pub async fn wait_for_deletions(&self) {
        let wait = async {
            while self.count_rows("account_deletions") > 0 {
                // Lets the tasks of the store continue.
                self.check_ready().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_mins(2);
        tokio::time::timeout(limit, wait).await.expect("an account is not deleted in time");
    }

    /// Returns the number of rows in the table, without the store.
    pub fn count_rows(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}"))
    }

    /// Returns the number that the query returns, without the store.
    pub fn number(&self, sql: &str) -> i64 {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                let database = rusqlite::Connection::open(folder.path().join("posts.db")).unwrap();
                database.query_row(sql, [], |row| row.get(0)).unwrap()
            }
            TestDatabase::Postgres(database) => database.query(sql)[0].parse().unwrap(),
            TestDatabase::Shared => panic!("only the test can access its database"),
        }
    }

    /// Creates the account `NAME@example.com`.
    pub async fn sign_up(&self, name: &str) -> Caller {
        match self.create_user(new_user(name)).await.unwrap() {
            CreateUser::Created(user) => {
                let tokens_valid_from = TokensValidFrom::of_new_account(user.created_at);
                with_valid_from(caller(user.id), tokens_valid_from)
            }
            CreateUser::EmailTaken => panic!("{name} already has an account"),
        }
    }

    /// Returns a caller whose account was deleted.
    pub async fn deleted_caller(&self) -> Caller {
        let deleted = self.sign_up("deleted").await;
        self.delete_user(deleted, deleted.user_id).await.unwrap();
        deleted
    }

    pub async fn write(&self, author: Caller, title: &str) -> Post {
        self.create_post(author, content(title, true), noon()).await.unwrap()
    }

    pub async fn draft(&self, author: Caller, title: &str) -> Post {
        self.create_post(author, content(title, false), noon()).await.unwrap()
    }

    pub async fn read(&self, caller: Caller, id: PostId) -> Option<PostWithVotes> {
        self.find_post(caller, id).await.unwrap()
    }

    /// Returns the titles of the page, in its order.
    pub async fn titles(&self, caller: Caller, page: Page) -> Vec<String> {
        let posts = self.list_posts(caller, page).await.unwrap();
        posts.iter().map(|found| found.post.title.as_str().to_owned()).collect()
    }

    /// Returns the votes of the post. Fails if post and list show different numbers.
    pub async fn count(&self, caller: Caller, id: PostId) -> i64 {
        let read = self.read(caller, id).await.unwrap().votes;
        let list = self.list_posts(caller, Page::default()).await.unwrap();
        let listed = list.iter().find(|found| found.post.id == id).map(|found| found.votes);
        assert_eq!(listed.unwrap_or(read), read, "post and list differ for {id:?}");
        read
    }

    pub async fn vote(&self, caller: Caller, id: PostId, dir: i64) -> VoteOutcome {
        self.cast_vote(caller, vote(id, dir)).await.unwrap()
    }
}

pub fn noon() -> Timestamp {
    Timestamp::from_microsecond(NOON).unwrap()
}

pub fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.com")).unwrap()
}

pub fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.to_owned())
}

pub fn new_user(name: &str) -> NewUser {
    NewUser { email: email(name), password_hash: hash("a hash"), created_at: noon() }
}

/// Returns a caller who sees only their own drafts.
pub fn caller(user_id: UserId) -> Caller {
    Caller {
        user_id,
        draft_visibility: DraftVisibility::Private,
        valid_from_range: ValidFromRange::default(),
    }
}

/// Returns the same caller with all drafts visible.
pub fn seeing_drafts(caller: Caller) -> Caller {
    Caller { draft_visibility: DraftVisibility::Visible, ..caller }
}

pub fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

pub fn content(title: &str, published: bool) -> PostContent {
    PostContent { title: text(title), content: text("text"), published }
}

/// Returns the vote for a `dir` of the API: 1, -1, or 0 to withdraw.
pub fn vote(post_id: PostId, dir: i64) -> Vote {
    let direction = match dir {
        1 => Some(Direction::Up),
        -1 => Some(Direction::Down),
        _ => None,
    };
    Vote { post_id, direction }
}

/// Returns a page with a search for the text.
pub fn search(text: &str) -> Page {
    Page { search: Some(text.to_owned()), ..Page::default() }
}

/// Returns the same caller with a token issued for this `tokens_valid_from`.
pub fn with_valid_from(caller: Caller, tokens_valid_from: TokensValidFrom) -> Caller {
    Caller { valid_from_range: ValidFromRange::of(tokens_valid_from), ..caller }
}

#[track_caller]
pub fn assert_caller_rejected<T: std::fmt::Debug>(outcome: Result<T>) {
    match outcome {
        Err(StoreError::CallerRejected) => {}
        other => panic!("the caller is not rejected: {other:?}"),
    }
}
