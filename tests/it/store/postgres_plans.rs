//! Query plans of PostgreSQL, for any parameters. Each statement of a request uses an index, so
//! that its cost does not grow with the table.

use std::path::Path;
use std::sync::OnceLock;

use post_api::store::postgres::{SERVING_SETTINGS, request_statements};
use tokio_postgres::types::Type;

use crate::support::{Cluster, PostgresDatabase};

/// Statements on the system catalog, not on a table of the service.
const CATALOG_STATEMENTS: [&str; 11] = [
    "FIND_POSITION",
    "HAS_HISTORY",
    "READ_HISTORY",
    "FIND_HIDDEN_TABLES",
    "FIND_SEARCH_INDEX",
    "IS_DISTRIBUTED",
    "IS_READ_ONLY",
    "FIND_SEQUENCE",
    "FIND_LAST_ID",
    "FIND_TRANSACTIONS_WITH_IDS",
    "ESTIMATE_ROWS",
];

/// Statements that read a table from its end or its beginning, and stop at a limit.
const LIMITED_STATEMENTS: [&str; 10] = [
    "COUNT_NEWEST_ACCOUNTS",
    "COUNT_ROWS",
    "FIND_HIDDEN_RANGE",
    "FORGET_CHANGES",
    "LISTEN_TO_CHANGES",
    "LIST_ALL",
    "LIST_PUBLISHED",
    "RANK_ALL_NEWEST",
    "RANK_ALL_UNVOTED",
    "RANK_UNVOTED",
];

/// Statements of batches. Their tables grow by thousands of rows before PostgreSQL sees it.
const BATCH_STATEMENTS: [&str; 11] = [
    "CAST_VOTES",
    "CAST_VOTES_ONCE",
    "CREATE_POSTS",
    "CREATE_POSTS_ONCE",
    "FIND_VOTES",
    "WITHDRAW_VOTES",
    "FIND_CHANGED_POSTS",
    "FIND_KEYS",
    "FIND_POSTS",
    "FIND_TOKENS_VALID_FROM",
    "READ_CHANGES",
];

/// Returns the plan of the statement in a connection that serves requests.
fn plan(database: &PostgresDatabase<'_>, sql: &str, types: &[Type]) -> Vec<String> {
    let names: Vec<&str> = types.iter().map(Type::name).collect();
    let nulls = vec!["NULL"; types.len()].join(", ");
    let (names, values) = match types {
        [] => (String::new(), String::new()),
        _ => (format!(" ({})", names.join(", ")), format!(" ({nulls})")),
    };
    let settings = SERVING_SETTINGS.map(|(name, value)| format!("SET {name} = '{value}';"));
    database.query(&format!(
        "{} PREPARE asked{names} AS {sql}; EXPLAIN (COSTS OFF) EXECUTE asked{values}",
        settings.concat()
    ))
}

/// A service that has just been installed: PostgreSQL has no statistics of the tables.
fn new() -> PostgresDatabase<'static> {
    Cluster::shared().database()
}

/// Returns a copy of a database with full tables.
fn filled() -> PostgresDatabase<'static> {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    Cluster::shared().copy_of(TEMPLATE.get_or_init(fill))
}

/// Fills the tables, the posts with many drafts, and collects statistics. Returns the name of the
/// database.
fn fill() -> String {
    let database = Cluster::shared().database();
    database.execute(
        "INSERT INTO users (email, password)
             SELECT 'user' || n || '@example.com', 'hash' FROM generate_series(1, 40) AS n;
         INSERT INTO posts (title, content, published, owner_id)
             SELECT 'title ' || n, 'text', n % 200 = 0, (SELECT min(id) FROM users) + n % 40
               FROM generate_series(1, 20000) AS n;
         INSERT INTO votes (post_id, user_id, dir)
             SELECT posts.id, users.id, 1 FROM posts JOIN users ON users.id % 4 = posts.id % 4;
         INSERT INTO sessions (user_id, tokens_valid_from, family_hash, link_hash, user_agent,
                               created_at, used_at, expires_at, ends_at)
             SELECT id, now(), sha256(n::text::bytea), '', '', now(), now(), now(), now()
               FROM users, generate_series(1, 100) AS n;
         INSERT INTO idempotency_keys (user_id, key, fingerprint, outcome, at, expires_at)
             SELECT id, sha256(n::text::bytea), '', 1, now(), now()
               FROM users, generate_series(1, 100) AS n;
         INSERT INTO login_failures (account, failures, forgotten_at)
             SELECT n, 1, now() FROM generate_series(1, 10000) AS n;
         ANALYZE",
    );
    database.keep()
}

/// Returns a full database in which these tables, and those that refer to them, are empty, and
/// PostgreSQL knows it.
fn without(tables: &str) -> PostgresDatabase<'static> {
    let database = filled();
    database.execute(&format!("TRUNCATE {tables} CASCADE"));
    database.execute("ANALYZE");
    database
}

#[test]
fn every_request_statement_uses_an_index_on_a_new_database() {
    assert_no_whole_table(&new(), |_| true);
}

#[test]
fn every_request_statement_uses_an_index_on_a_filled_database() {
    assert_no_whole_table(&filled(), |_| true);
}

/// As after an operator's `ANALYZE`.
#[test]
fn every_batch_uses_an_index_on_a_new_database_with_statistics() {
    let database = new();
    database.execute("ANALYZE");
    assert_no_whole_table(&database, is_of_batch);
}

/// As after a quiet day, when every idempotency key has expired.
#[test]
fn every_batch_uses_an_index_while_no_key_is_kept() {
    assert_no_whole_table(&without("idempotency_keys"), is_of_batch);
}

/// As before the first vote. The join of posts with their counts would then read all counts.
#[test]
fn every_batch_uses_an_index_before_the_first_vote() {
    assert_no_whole_table(&without("votes, vote_counts"), is_of_batch);
}

#[test]
fn every_batch_uses_an_index_before_the_first_post() {
    assert_no_whole_table(&without("posts, vote_counts"), is_of_batch);
}

#[test]
fn every_batch_uses_an_index_before_the_first_account() {
    assert_no_whole_table(&without("users, vote_counts"), is_of_batch);
}

fn is_of_batch(name: &str) -> bool {
    BATCH_STATEMENTS.contains(&name)
}

fn assert_no_whole_table(database: &PostgresDatabase<'_>, is_checked: fn(&str) -> bool) {
    let mut violations = Vec::new();
    let mut plans = 0;
    for statement in request_statements() {
        // A ranking reads all counts: an index by votes would make every vote dearer.
        let is_exempt = statement.name == "RANK_MOST_VOTED";
        if is_exempt || CATALOG_STATEMENTS.contains(&statement.name) || !is_checked(statement.name)
        {
            continue;
        }
        let texts = [Some(statement.sql), statement.fenced, statement.confirmed];
        for sql in texts.into_iter().flatten() {
            let lines = plan(database, sql, statement.types);
            for (number, line) in lines.iter().enumerate() {
                if !reads_whole_table(line, lines.get(number + 1)) {
                    continue;
                }
                if line.contains("Seq Scan") || !LIMITED_STATEMENTS.contains(&statement.name) {
                    violations.push(format!("{}: {}", statement.name, line.trim()));
                }
            }
        }
        plans += 1;
    }
    assert!(plans >= BATCH_STATEMENTS.len(), "{plans}");
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Whether this line of a plan reads a table without a condition for an index. `next` is the line
/// below it, which has the condition.
fn reads_whole_table(line: &str, next: Option<&String>) -> bool {
    // An account is in this table for the minutes of its deletion.
    let is_scan = line.contains("Index Scan") || line.contains("Index Only Scan");
    let is_small = line.contains(" on account_deletions") || line.contains(" on pg_database");
    let has_condition = next.is_some_and(|next| next.contains("Index Cond"));
    !is_small && (line.contains("Seq Scan") || is_scan && !has_condition)
}

/// The order "newest first" comes from the index, not from a sort.
#[test]
fn list_statements_read_in_index_order_on_a_new_database() {
    assert_lists_read_in_index_order(&new());
}

#[test]
fn list_statements_read_in_index_order_on_a_filled_database() {
    assert_lists_read_in_index_order(&filled());
}

fn assert_lists_read_in_index_order(database: &PostgresDatabase<'_>) {
    for (name, index, scans) in [
        ("LIST_PUBLISHED", "posts_published", 1),
        ("LIST_ALL", "posts_pkey", 1),
        ("LIST_PUBLISHED_AROUND", "posts_published", 2),
        ("LIST_PUBLISHED_AROUND_ASCENDING", "posts_published", 2),
        ("LIST_ALL_AROUND", "posts_pkey", 2),
        ("LIST_ALL_AROUND_ASCENDING", "posts_pkey", 2),
        ("LIST_OWNED", "posts_owner", 1),
        ("LIST_OWNED_ASCENDING", "posts_owner", 1),
        ("LIST_ALL_OWNED", "posts_owner", 2),
        ("LIST_ALL_OWNED_ASCENDING", "posts_owner", 2),
        ("LIST_CREATED", "posts_created", 1),
        ("LIST_CREATED_ASCENDING", "posts_created", 1),
        ("LIST_ALL_CREATED", "posts_created", 2),
        ("LIST_ALL_CREATED_ASCENDING", "posts_created", 2),
        ("SCAN_PUBLISHED_TITLES", "posts_published", 2),
        ("SCAN_ALL_TITLES", "posts_pkey", 2),
        ("SCAN_OWNED_TITLES", "posts_owner", 1),
        ("SCAN_OWNED_TITLES_ASCENDING", "posts_owner", 1),
        ("SCAN_ALL_OWNED_TITLES", "posts_owner", 2),
        ("SCAN_ALL_OWNED_TITLES_ASCENDING", "posts_owner", 2),
        ("RANK_UNVOTED", "posts_published", 1),
        ("RANK_NEWEST", "posts_created", 1),
        ("RANK_ALL_NEWEST", "posts_pkey", 1),
        ("FIND_HIDDEN_RANGE", "posts_owner", 2),
        ("FIND_HIDDEN_RANGE", "posts_pkey", 1),
    ] {
        let statement = request_statements().find(|statement| statement.name == name).unwrap();
        let lines = plan(database, statement.sql, statement.types);
        let direction = if name.ends_with("_ASCENDING") { "" } else { " Backward" };
        let scans_of = ["Index Scan", "Index Only Scan"]
            .map(|scan| format!("{scan}{direction} using {index} on posts"));
        assert_eq!(
            lines.iter().filter(|line| scans_of.iter().any(|scan| line.contains(scan))).count(),
            scans,
            "{name}: {lines:#?}"
        );
        let is_merged = lines.iter().any(|line| line.contains("Merge Append"));
        let is_around = name.contains("_AROUND")
            || ["SCAN_PUBLISHED_TITLES", "SCAN_ALL_TITLES"].contains(&name);
        assert_eq!(is_merged, is_around, "{name}: {lines:#?}");
    }
}

#[test]
fn search_uses_the_trigram_index() {
    let statement =
        request_statements().find(|statement| statement.name == "SEARCH_INDEX").unwrap();
    for database in [new(), filled()] {
        let lines = plan(&database, statement.sql, statement.types);
        assert!(
            lines.iter().any(|line| line.contains("Bitmap Index Scan on post_search")),
            "{lines:#?}"
        );
    }
}

/// A connection runs only declared statements; it is set up with constants when it is opened.
#[test]
fn every_request_statement_is_declared() {
    const ALLOWED: [(&str, &str); 16] = [
        ("confirmed", "batch_execute(\"BEGIN\")"),
        ("confirmed", "batch_execute(END)"),
        ("confirmed", "prepare_typed_cached(self.shared().text(one),"),
        ("connect", "batch_execute(&settings)"),
        ("connect", "simple_query(\"SELECTpg_is_in_recovery()\")"),
        ("connect", "batch_execute(PUT_SCHEMA_FIRST)"),
        ("connection", "batch_execute(&begin)"),
        ("connection", "batch_execute(END)"),
        ("connection", "prepare_typed_cached(self.shared.text(statement),"),
        ("connection", "prepare_typed_cached(sql,"),
        ("connection", "query_typed_raw(sql,"),
        ("connection", "pooled.query_raw(&prepared,"),
        ("list_key", "->&'staticStatement{"),
        ("statement", "pubstructStatement{"),
        ("statement", "implStatement{"),
        ("statement", ":Statement=Statement{"),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres");
    let list = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut declaring = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut source = std::fs::read_to_string(&path).unwrap();
        source.retain(|character| !character.is_whitespace());
        for (_, allowed) in ALLOWED.iter().filter(|(file, _)| *file == name) {
            assert!(source.contains(allowed), "{name} no longer has {allowed}");
            source = source.replace(allowed, "");
        }
        for call in [
            "Statement{",
            "execute(",
            "_typed",
            "prepare(\"",
            "query(\"",
            "simple_query",
            "copy_in",
        ] {
            assert!(!source.contains(call), "{name} has an undeclared statement: {call}");
        }
        let defines_macro = ["statement", "distributed"].contains(&name);
        if source.contains("statements!{") && !defines_macro {
            assert!(list.contains(&format!("{name}::STATEMENTS")), "{name} is not listed");
            declaring += 1;
        }
    }
    assert!(declaring >= 9, "{declaring}");
}

/// A deletion looks up the rows that it cascades to.
#[test]
fn cascading_deletion_uses_an_index() {
    let database = Cluster::shared().database();
    let references = database.query_pairs(
        "SELECT conrelid::regclass, attname FROM pg_constraint
           JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
          WHERE contype = 'f' AND connamespace = 'public'::regnamespace",
    );
    assert_eq!(references.len(), 8, "{references:?}");
    for (table, column) in references {
        let sql = format!("DELETE FROM {table} WHERE {column} = $1");
        let lines = plan(&database, &sql, &[Type::INT8]);
        assert!(!lines.iter().any(|line| line.contains("Seq Scan")), "{table}: {lines:#?}");
    }
}
