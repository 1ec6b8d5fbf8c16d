//! Whether the role has the rights that serving needs, as docs/postgresql.md grants them.

use tokio_postgres::{Client, Error};

use crate::store::inspection::Finding;

/// The rights on tables, as `has_table_privilege` names them.
const ON_TABLES: [(&str, &[&str]); 12] = [
    ("users", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("posts", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("votes", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("sessions", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("login_failures", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("events", &["SELECT", "INSERT", "DELETE"]),
    ("idempotency_keys", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("account_deletions", &["SELECT", "INSERT", "UPDATE"]),
    ("change_log", &["SELECT", "UPDATE"]),
    ("post_changes", &["SELECT", "DELETE"]),
    ("vote_counts", &["SELECT"]),
    ("schema_migrations", &["SELECT"]),
];

/// The rights that the role lacks.
const MISSING: &str = "
    SELECT wanted.privilege || ' on ' || wanted.name
      FROM unnest($1::text[], $2::text[]) AS wanted (name, privilege)
     WHERE NOT has_table_privilege(to_regclass(wanted.name), wanted.privilege)
    UNION ALL
    SELECT 'SELECT on installation'
     WHERE NOT has_table_privilege(to_regclass('installation'), 'SELECT')
    UNION ALL
    SELECT 'UPDATE (tokens_valid_from) on installation'
     WHERE NOT has_column_privilege(to_regclass('installation'), 'tokens_valid_from', 'UPDATE')
    UNION ALL
    SELECT 'UPDATE on ' || sequence
      FROM pg_get_serial_sequence('change_log', 'until') AS sequence
     WHERE NOT has_sequence_privilege(sequence, 'UPDATE')
    UNION ALL
    SELECT 'USAGE on ' || sequence
      FROM unnest(ARRAY['users', 'posts', 'sessions', 'events']) AS name,
           pg_get_serial_sequence(name, 'id') AS sequence
     WHERE NOT has_sequence_privilege(sequence, 'USAGE')";

pub(super) async fn inspect(client: &Client) -> Result<Finding, Error> {
    let wanted = ON_TABLES
        .iter()
        .flat_map(|(table, rights)| rights.iter().map(move |right| (*table, *right)));
    let (tables, rights): (Vec<&str>, Vec<&str>) = wanted.unzip();
    let mut missing: Vec<String> = Vec::new();
    for row in client.query(MISSING, &[&tables, &rights]).await? {
        missing.push(row.try_get(0)?);
    }
    if missing.is_empty() {
        return Ok(Finding::ok("the role has the rights that serving needs"));
    }
    let cure = "grant them as the owner of the tables, see \"A separate serving role\" in \
                docs/postgresql.md";
    Ok(Finding::fail(format!("the role lacks {}", missing.join(", ")), cure))
}
