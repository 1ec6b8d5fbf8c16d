//! The row of the installation, and the first value of accounts that other programs create.

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _};

use super::super::super::fresh_store::noon;
use super::database::Database;

const CREATED: &str = "INSERT INTO users (email, password) VALUES (now()::text, 'a hash')
    RETURNING to_timestamp(-floor(extract(epoch FROM now()))) = tokens_valid_from,
              tokens_valid_from >= date_trunc('second', now())";

/// The program's role has no right on the installation, and its search path leads elsewhere.
#[tokio::test]
async fn account_of_another_program_rejects_older_tokens() {
    for database in [Database::empty(), Database::of_reference().await] {
        database.migrate_to(POSTGRES.len()).await;
        let role = database.new_role().await;
        database
            .run(&format!(
                "GRANT SELECT, INSERT ON users TO {role}; GRANT USAGE ON users_id_seq TO {role};
                 CREATE SCHEMA elsewhere AUTHORIZATION {role};
                 CREATE TABLE elsewhere.installation (one boolean, tokens_valid_from timestamptz);
                 GRANT SELECT ON elsewhere.installation TO {role}"
            ))
            .await;
        let program = database.for_role(&role).sql().await;
        program.batch_execute("SET search_path = elsewhere, public").await.unwrap();
        let row = program.query_one(CREATED, &[]).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), (true, false));
        assert!(program.query("SELECT key FROM public.installation", &[]).await.is_err());

        let mut admin = database.admin().await;
        admin.sign_out_all(noon()).await.unwrap();
        let row = program.query_one(CREATED, &[]).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), (false, true));
        let future = "UPDATE installation SET tokens_valid_from = '2200-01-01'";
        database.run(future).await;
        let row = program
            .query_one(
                "INSERT INTO users (email, password) VALUES ('late', 'a hash')
                 RETURNING tokens_valid_from > '2200-01-01'",
                &[],
            )
            .await
            .unwrap();
        assert!(row.get::<_, bool>(0), "later than the revocation of all tokens");
    }
}

#[tokio::test]
async fn installation_has_one_row_with_a_key_of_its_own() {
    let databases = [Database::empty(), Database::empty()];
    let mut keys = Vec::new();
    for database in &databases {
        database.migrate_to(POSTGRES.len()).await;
        let client = database.sql().await;
        let row = client
            .query_one("SELECT key, tokens_valid_from = to_timestamp(0) FROM installation", &[]);
        let row = row.await.unwrap();
        let key: Vec<u8> = row.get(0);
        assert_eq!((key.len(), row.get::<_, bool>(1)), (32, true));
        keys.push(key);
        for second in ["true", "false", "NULL"] {
            let row = format!("INSERT INTO installation (one, key) VALUES ({second}, '')");
            assert!(client.batch_execute(&row).await.is_err(), "{second}");
        }
    }
    assert_ne!(keys[0], keys[1]);
}

/// The values of accounts stay, so that a downgrade revives no token.
#[tokio::test]
async fn downgrade_keeps_the_values_of_accounts() {
    let database = Database::empty();
    database.migrate_to(POSTGRES.len()).await;
    database.run("INSERT INTO users (email, password) VALUES ('ada', 'a hash')").await;
    let before = "SELECT count(*) FROM users WHERE tokens_valid_from < to_timestamp(0)";
    assert_eq!(database.number(before).await, 1);
    database.migrate_to(9).await;
    assert_eq!(database.number(before).await, 1);
    database.run("INSERT INTO users (email, password) VALUES ('bob', 'a hash')").await;
    assert_eq!(database.number(before).await, 1);
}
