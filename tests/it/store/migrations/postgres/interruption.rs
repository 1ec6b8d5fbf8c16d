//! Lock timeouts and interrupted steps.

use std::time::Duration;

use post_api::domain::user::UserId;
use post_api::store::migrate::{
    MigrateError, Migration, POSTGRES, POSTGRES_ADOPTED, SchemaAdmin as _, migrate,
};
use post_api::store::postgres::{Address, LockTimeouts, PostgresAdmin, PostgresStore, statements};
use post_api::store::{Readiness, ReadinessStore as _, StoreError, UserStore as _};

use super::database::{Database, assert_same};
use crate::store::fresh_store::noon;

/// Tries once, without waiting.
const NO_WAIT: LockTimeouts = LockTimeouts { advisory: Duration::ZERO, table: Duration::ZERO };

async fn admin_without_waiting(database: &Database) -> PostgresAdmin {
    database.admin().await.with_lock_timeouts(NO_WAIT)
}

#[tokio::test]
async fn migration_waits_for_other_process_until_timeout() {
    let database = Database::empty();
    let other = database.sql().await;
    other.batch_execute("SET application_name = 'the other'").await.unwrap();
    let lock = "SELECT pg_advisory_lock(x'706f737473'::bigint)";
    other.batch_execute(lock).await.unwrap();
    match admin_without_waiting(&database).await.step_towards(1, noon()).await {
        Err(MigrateError::Busy(session)) => assert!(session.contains("(the other)"), "{session}"),
        outcome => panic!("{outcome:?}"),
    }
    assert!(matches!(
        admin_without_waiting(&database).await.stamp(1, noon()).await,
        Err(MigrateError::Busy(_))
    ));
    assert_eq!(database.revisions().await, [""; 0]);
    other.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    assert!(
        admin_without_waiting(&database).await.step_towards(1, noon()).await.unwrap().is_some()
    );
}

/// A failed step blocks no other process. If it is a transaction, it leaves nothing behind.
#[tokio::test]
async fn failed_step_releases_the_lock() {
    let database = Database::empty();
    database
        .run(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE 'no tables here'; END $$;
             CREATE EVENT TRIGGER refuse_tables ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
                EXECUTE FUNCTION refuse()",
        )
        .await;
    let before = database.dump();
    let mut failed = admin_without_waiting(&database).await;
    let refused = failed.step_towards(1, noon()).await;
    assert!(matches!(refused, Err(MigrateError::Store(_))), "{refused:?}");
    assert_same(&database.dump(), &before, "");
    database.run("DROP EVENT TRIGGER refuse_tables; DROP FUNCTION refuse").await;
    admin_without_waiting(&database).await.step_towards(1, noon()).await.unwrap();
}

#[tokio::test]
async fn step_on_table_in_use_is_rejected_after_timeout() {
    let database = Database::empty();
    database.migrate_to(1).await;
    let before = database.dump();
    let reader = database.sql().await;
    reader.batch_execute("BEGIN; SELECT FROM votes").await.unwrap();
    let refused = admin_without_waiting(&database).await.step_towards(2, noon()).await;
    assert!(matches!(refused, Err(MigrateError::TablesInUse(_))), "{refused:?}");
    let differences = database.admin().await.schema_differences().await.unwrap();
    assert_eq!(differences, ["0002_downvotes is unfinished"]);
    let plan = database.admin().await.plan(2).await.unwrap();
    assert_eq!(plan[0], "0002_downvotes is unfinished: it is run again");
    reader.batch_execute("COMMIT").await.unwrap();
    database.migrate_to(2).await;
    database.migrate_to(1).await;
    // The history changed and changed back, so the dump is equal.
    assert_same(&database.dump(), &before, "");
}

/// The timeout is two seconds, so that the age of the blocking transaction exceeds one.
#[tokio::test]
async fn blocking_session_is_named() {
    let database = Database::empty();
    database.migrate_to(1).await;
    let reader = database.sql().await;
    reader.batch_execute("SET application_name = 'the reader'").await.unwrap();
    let process: i32 = reader.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    reader.batch_execute("BEGIN; SELECT FROM votes").await.unwrap();
    let timeouts = LockTimeouts { table: Duration::from_secs(2), ..NO_WAIT };
    let refused = database.admin().await.with_lock_timeouts(timeouts).step_towards(2, noon()).await;
    let expected = format!("the session {process} (the reader) is idle in transaction since ");
    match refused {
        Err(MigrateError::TablesInUse(session)) => {
            assert!(session.starts_with(&expected), "{session}");
        }
        outcome => panic!("{outcome:?}"),
    }
}

/// Interrupts each step after each of its statements, then finishes or reverts it.
async fn interrupt_everywhere(database: &Database, migrations: &'static [Migration]) {
    // One session for all steps, because a new one reads the catalogs for longer than a step takes.
    let mut admin = database.admin().await;
    for (at, migration) in migrations.iter().enumerate() {
        let below = admin.shape().await.unwrap();
        migrate_to(&mut admin, at + 1).await;
        let above = admin.shape().await.unwrap();
        for (start_at, sql, return_to) in [(at + 1, migration.down, at), (at, migration.up, at + 1)]
        {
            if !sql.starts_with("-- no transaction\n") {
                migrate_to(&mut admin, return_to).await;
                continue;
            }
            let statements = statements(sql);
            for ending in [at, at + 1] {
                for done in 0..=statements.len() {
                    migrate_to(&mut admin, start_at).await;
                    let is_adoption = migration.up == POSTGRES_ADOPTED[0].up;
                    record_started_step(database, migration, is_adoption).await;
                    run_statements(database, &statements[..done]).await;
                    migrate_to(&mut admin, ending).await;
                    let expected = if ending == at { &below } else { &above };
                    let context =
                        format!("{} from {start_at}, interrupted after {done}", migration.revision);
                    assert_same(&admin.shape().await.unwrap(), expected, &context);
                }
            }
            migrate_to(&mut admin, return_to).await;
        }
        migrate_to(&mut admin, at + 1).await;
    }
}

async fn migrate_to(admin: &mut PostgresAdmin, position: usize) {
    migrate(admin, position, noon(), |_| {}).await.unwrap();
}

/// Runs the statements one by one, as an operator would.
async fn run_statements(database: &Database, statements: &[String]) {
    // Only psql knows `\gexec`.
    if statements.iter().any(|statement| statement.contains("\\gexec")) {
        return database.psql(&statements.concat());
    }
    let client = database.sql().await;
    for statement in statements {
        client.batch_execute(statement).await.unwrap_or_else(|error| {
            panic!("{statement}: {:?}", error.as_db_error());
        });
    }
}

/// Writes the history entry that an interrupted step leaves.
pub async fn record_started_step(database: &Database, migration: &Migration, is_adoption: bool) {
    let origin = if is_adoption { "'alembic revision 0cf86d064551'" } else { "NULL" };
    let (revision, checksum) = (migration.revision, migration.checksum());
    database
        .run(&format!(
            "CREATE TABLE IF NOT EXISTS schema_migrations (revision text PRIMARY KEY,
                 checksum text NOT NULL, applied_at timestamptz, adopted_from text);
             INSERT INTO schema_migrations VALUES ('{revision}', '{checksum}', NULL, {origin})
             ON CONFLICT (revision) DO UPDATE SET applied_at = NULL"
        ))
        .await;
}

#[tokio::test]
async fn interrupted_step_can_be_finished_or_reverted() {
    let database = Database::empty();
    let before = database.dump();
    interrupt_everywhere(&database, POSTGRES).await;
    database.assert_sound().await;
    database.migrate_to(0).await;
    assert_same(&database.dump(), &before, "at base");
}

#[tokio::test]
async fn interrupted_adoption_can_be_finished_or_reverted() {
    let database = Database::of_reference().await;
    interrupt_everywhere(&database, &POSTGRES_ADOPTED[..1]).await;
    database.migrate_to(POSTGRES.len()).await;
    database.assert_sound().await;
}

/// An interrupted build leaves an index that PostgreSQL does not use.
#[tokio::test]
async fn invalid_index_is_rebuilt() {
    let database = Database::empty();
    database.migrate_to(3).await;
    record_started_step(&database, &POSTGRES[3], false).await;
    database.run("CREATE INDEX votes_user ON votes (user_id)").await;
    let invalidate =
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'votes_user'::regclass";
    database.run(invalidate).await;
    database.migrate_to(4).await;
    assert_eq!(database.admin().await.schema_differences().await.unwrap(), [""; 0]);
}

/// Behind a pooler the lock would belong to a connection that others use.
#[tokio::test]
async fn migration_through_pooler_is_rejected() {
    let database = Database::empty();
    let pooled = Address::parse(&database.url).unwrap().with_prepared(false);
    let mut admin = PostgresAdmin::connect(&pooled).await.unwrap();
    let refused = admin.step_towards(1, noon()).await;
    assert!(matches!(refused, Err(MigrateError::NoSession)), "{refused:?}");
    assert!(matches!(admin.stamp(1, noon()).await, Err(MigrateError::NoSession)));
    database.migrate_to(POSTGRES.len()).await;
    assert!(admin.step_towards(POSTGRES.len(), noon()).await.unwrap().is_none());
}

/// A started step is not an applied one: requests need the complete schema.
#[tokio::test]
async fn request_during_unfinished_step_is_rejected() {
    let database = Database::empty();
    // A transaction is never unfinished.
    let can_be_unfinished = |step: &Migration| step.up.starts_with("-- no transaction");
    let newest = POSTGRES.iter().rposition(can_be_unfinished).unwrap();
    database.migrate_to(newest + 1).await;
    let newest = POSTGRES[newest].revision;
    let started =
        format!("UPDATE schema_migrations SET applied_at = NULL WHERE revision = '{newest}'");
    database.run(&started).await;
    let store = PostgresStore::open(&Address::parse(&database.url).unwrap()).unwrap();
    assert_eq!(store.check_ready().await.unwrap(), Readiness::WrongRevision);
    let refused = store.find_user(UserId(1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    database.migrate_to(POSTGRES.len()).await;
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
    assert_eq!(store.find_user(UserId(1)).await.unwrap(), None);
}
