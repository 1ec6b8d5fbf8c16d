//! Query plans of PostgreSQL, for any parameters. Each statement of a request uses an index, so
//! that its cost does not grow with the table.

use std::path::Path;

use post_api::store::postgres::request_statements;
use tokio_postgres::types::Type;

use crate::support::{Cluster, PostgresDatabase};

/// Statements on the system catalog, not on a table of the service.
const CATALOG_STATEMENTS: [&str; 10] = [
    "FIND_POSITION",
    "HAS_HISTORY",
    "READ_HISTORY",
    "FIND_HIDDEN_TABLES",
    "FIND_SEARCH_INDEX",
    "IS_READ_ONLY",
    "FIND_SEQUENCE",
    "FIND_LAST_ID",
    "FIND_TRANSACTIONS_WITH_IDS",
    "ESTIMATE_ROWS",
];

/// Returns the generic plan of the statement. Sequential scans and sorts are disabled, as they are
/// cheaper only on the empty tables of a test.
fn plan(database: &PostgresDatabase<'_>, sql: &str, parameters: usize, types: &str) -> Vec<String> {
    let nulls = vec!["NULL"; parameters].join(", ");
    let execute = if parameters == 0 { "asked".to_owned() } else { format!("asked ({nulls})") };
    let types = if types.is_empty() { String::new() } else { format!(" ({types})") };
    database.query(&format!(
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_sort = off;
         PREPARE asked{types} AS {sql}; EXPLAIN (COSTS OFF) EXECUTE {execute}"
    ))
}

/// Fills the tables with many drafts and few published posts, and collects statistics.
fn analyzed() -> PostgresDatabase<'static> {
    let database = Cluster::shared().database();
    database.execute(
        "INSERT INTO users (email, password)
             SELECT 'user' || n || '@example.com', 'hash' FROM generate_series(1, 40) AS n;
         INSERT INTO posts (title, content, published, owner_id)
             SELECT 'title ' || n, 'text', n % 200 = 0, (SELECT min(id) FROM users) + n % 40
               FROM generate_series(1, 20000) AS n;
         ANALYZE",
    );
    database
}

#[test]
fn every_request_statement_uses_an_index() {
    assert_no_sequential_scan(&Cluster::shared().database());
}

#[test]
fn every_request_statement_uses_an_index_after_analyze() {
    assert_no_sequential_scan(&analyzed());
}

fn assert_no_sequential_scan(database: &PostgresDatabase<'_>) {
    let mut violations = Vec::new();
    let mut plans = 0;
    for statement in request_statements() {
        if CATALOG_STATEMENTS.contains(&statement.name) {
            continue;
        }
        let types: Vec<&str> = statement.types.iter().map(Type::name).collect();
        let texts = [Some(statement.sql), statement.fenced].into_iter().flatten();
        let lines = texts.flat_map(|sql| plan(database, sql, types.len(), &types.join(", ")));
        let lines: Vec<String> = lines.collect();
        plans += 1;
        // A ranking reads all counts: an index by votes would make every vote dearer.
        if statement.name == "RANK_MOST_VOTED" {
            continue;
        }
        // A disabled scan is still used if there is no other way.
        for line in lines.iter().filter(|line| line.contains("Seq Scan")) {
            violations.push(format!("{}: {}", statement.name, line.trim()));
        }
    }
    assert!(plans >= 15, "{plans}");
    assert!(violations.is_empty(), "{violations:#?}");
}

/// The order "newest first" comes from the index, not from a sort.
#[test]
fn list_statements_read_in_index_order() {
    assert_lists_read_in_index_order(&Cluster::shared().database());
}

#[test]
fn list_statements_read_in_index_order_after_analyze() {
    assert_lists_read_in_index_order(&analyzed());
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
        let types: Vec<&str> = statement.types.iter().map(Type::name).collect();
        let lines = plan(database, statement.sql, types.len(), &types.join(", "));
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
    for database in [Cluster::shared().database(), analyzed()] {
        let types: Vec<&str> = statement.types.iter().map(Type::name).collect();
        let lines = plan(&database, statement.sql, types.len(), &types.join(", "));
        assert!(
            lines.iter().any(|line| line.contains("Bitmap Index Scan on post_search")),
            "{lines:#?}"
        );
    }
}

/// A connection runs only declared statements; it is set up with constants when it is opened.
#[test]
fn every_request_statement_is_declared() {
    const ALLOWED: [(&str, &str); 12] = [
        ("connect", "batch_execute(&settings)"),
        ("connect", "simple_query(\"SELECTpg_is_in_recovery()\")"),
        ("connect", "batch_execute(PUT_SCHEMA_FIRST)"),
        ("connection", "batch_execute(&begin)"),
        ("connection", "batch_execute(END_READ)"),
        ("connection", "prepare_typed_cached(statement.sql,"),
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
        if source.contains("statements!{") && name != "statement" {
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
        let lines = plan(&database, &sql, 1, "int8");
        assert!(!lines.iter().any(|line| line.contains("Seq Scan")), "{table}: {lines:#?}");
    }
}
