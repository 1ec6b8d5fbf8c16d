//! A role with only the grants of `docs/postgresql.md`.

use tempfile::TempDir;

use super::{Cluster, PostgresDatabase, Service};

const POSTGRESQL_PAGE: &str = include_str!("../../../docs/postgresql.md");

/// Returns the statements that give the role `serving` its rights in the database `posts`.
pub fn documented_grants() -> String {
    let block = POSTGRESQL_PAGE.split("```sql\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// Migrates the database as its owner, and grants the serving role its rights. Returns the URL of
/// the serving role.
pub fn prepare_serving_role(cluster: &Cluster, database: &PostgresDatabase<'_>) -> String {
    let name = database.name();
    let (owner, serving) = (format!("owner_of_{name}"), format!("serving_{name}"));
    let url = |role: &str| database.url().replace("tester@", &format!("{role}@"));
    database.execute(&format!(
        "CREATE ROLE {owner} LOGIN; CREATE ROLE {serving} LOGIN;
         ALTER DATABASE {name} OWNER TO {owner}; ALTER SCHEMA public OWNER TO {owner};
         REVOKE ALL ON DATABASE {name} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC"
    ));
    let folder = TempDir::new().unwrap();
    let mut upgrade = Service::command(folder.path());
    upgrade.args(["db", "upgrade", "--database-url", &url(&owner)]);
    assert!(upgrade.status().unwrap().success());
    let rights = documented_grants().replace("DATABASE posts ", &format!("DATABASE {name} "));
    let rights = rights.replace("TO serving;", &format!("TO {serving};"));
    cluster.execute(name, &format!("SET ROLE {owner}; {rights}"));
    url(&serving)
}
