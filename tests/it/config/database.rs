//! Settings that name the database.

use std::path::Path;

use post_api::config::{Database, Settings};

use super::settings::{GOOD_SECRET, errors, load};

#[test]
fn incomplete_reference_database_settings_are_rejected() {
    let five = [
        ("DATABASE_HOSTNAME", "db"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_PASSWORD", "hunter2"),
        ("DATABASE_NAME", "posts"),
        ("DATABASE_USERNAME", "ada"),
    ];
    let mut all = five.to_vec();
    all.push(("SECRET_KEY", GOOD_SECRET));
    assert_eq!(location_of(&load(&all)), "postgresql://db:5432/posts");
    for missing in 0..five.len() {
        let mut four = five.to_vec();
        let (name, _) = four.remove(missing);
        let errors = errors(&four);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].name.as_str(), errors[0].problem.as_str()), (name, "is missing"));
        assert!(!format!("{errors:?}").contains("hunter2"));
    }
    let mut with_url = five.to_vec();
    with_url.push(("DATABASE_URL", "sqlite:posts.db"));
    assert_eq!(file_of(&load(&with_url)), Path::new("posts.db"), "DATABASE_URL does not win");
}

/// Several processes may serve PostgreSQL, and all must sign with the same key. Other commands sign
/// nothing, so they need no key.
#[test]
fn serving_postgresql_without_a_secret_is_rejected() {
    let settings = load(&[("DATABASE_URL", "postgresql://ada@db/posts")]);
    let errors = settings.check_for_serving().unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].name.as_str(), errors[0].problem.as_str()), ("SECRET_KEY", "is missing"));
    load(&[]).check_for_serving().unwrap();
}

#[test]
fn database_url_is_parsed_like_libpq() {
    for (url, expected) in [
        ("postgresql://ada@db/posts", "postgresql://db:5432/posts"),
        ("postgres://ada:p%40ss%2Fword@db:6543/posts", "postgresql://db:6543/posts"),
        ("postgresql+psycopg2://ada@db/posts?sslmode=verify-full", "postgresql://db:5432/posts"),
        ("postgresql://ada@[::1]:5433/posts", "postgresql://[::1]:5433/posts"),
        ("postgresql://ada@a:1,b:2/posts", "postgresql://a:1,b:2/posts"),
        (
            "postgresql:///posts?host=/run/postgresql&user=ada",
            "postgresql:///run/postgresql:5432/posts",
        ),
        (
            "postgresql://ada@db/posts?sslmode=require&channel_binding=require",
            "postgresql://db:5432/posts",
        ),
    ] {
        let settings = load(&[("DATABASE_URL", url), ("SECRET_KEY", GOOD_SECRET)]);
        assert_eq!(location_of(&settings), expected, "{url}");
    }
}

#[test]
fn invalid_database_url_is_reported_without_its_password() {
    for (url, problem) in [
        ("postgresql:hunter2", "it has no `://`"),
        ("mysql://ada:hunter2@db/posts", "it does not begin with `postgresql://`"),
        ("postgresql://ada:hunter2@db", "it names no database"),
        ("postgresql://:hunter2@db/posts", "it names no user"),
        ("postgresql://ada:hunter2@/posts", "it names no host"),
        ("postgresql://ada:hunter2@db:port/posts", "port"),
        ("postgresql://ada:hunter2@db/posts?sslmode=hunter2", "sslmode is none of"),
        ("postgresql://ada:hunter2@db/posts?sslcert=x", "sslcert"),
        ("postgresql://ada:hunter2@db/posts?password=hunter2&colour=hunter2", "colour"),
        ("sqlite:", "names no file"),
    ] {
        let errors = errors(&[("DATABASE_URL", url), ("SECRET_KEY", GOOD_SECRET)]);
        assert_eq!(errors[0].name, "DATABASE_URL");
        assert!(errors[0].problem.contains(problem), "{url}: {errors:?}");
        assert!(!format!("{errors:?}").contains("hunter2"), "{url}: {errors:?}");
    }
}

#[test]
fn prepared_statements_are_used_unless_disabled() {
    let url = ("DATABASE_URL", "postgresql://ada@db/posts");
    let key = ("SECRET_KEY", GOOD_SECRET);
    for (value, expected) in [("on", true), ("off", false), ("", true)] {
        match load(&[url, key, ("DATABASE_PREPARED_STATEMENTS", value)]).database {
            Database::Postgres(address) => assert_eq!(address.is_prepared(), expected),
            Database::Sqlite(path) => panic!("{path:?}"),
        }
    }
}

/// Without TLS an attacker on the network could read the password and every row.
#[test]
fn plaintext_postgresql_connection_is_warned_about() {
    for (url, is_warned) in [
        ("postgresql://ada:hunter2@db/posts", true),
        ("postgresql://ada:hunter2@db/posts?sslmode=prefer", true),
        ("postgresql://ada:hunter2@db/posts?sslmode=allow", true),
        ("postgresql://ada:hunter2@db/posts?sslmode=disable", true),
        ("postgresql://ada:hunter2@db/posts?sslmode=require", false),
        ("postgresql://ada:hunter2@db/posts?sslmode=verify-full", false),
        ("postgresql://ada:hunter2@192.0.2.1/posts", true),
        ("postgresql://ada:hunter2@[2001:db8::1]/posts", true),
        ("postgresql://ada:hunter2@127.0.0.1/posts", false),
        ("postgresql://ada:hunter2@127.1.2.3/posts?sslmode=disable", false),
        ("postgresql://ada:hunter2@[::1]/posts", false),
        ("postgresql://ada:hunter2@[::ffff:127.0.0.1]/posts", false),
        ("postgresql://ada:hunter2@LocalHost/posts", false),
        ("postgresql://ada:hunter2@localhost,db/posts", true),
        ("postgresql://ada:hunter2@localhost/posts?hostaddr=192.0.2.1", true),
        ("postgresql://ada:hunter2@db/posts?hostaddr=127.0.0.1", false),
        ("postgresql:///posts?host=/run/postgresql&user=ada&password=hunter2", false),
        ("sqlite:hunter2.db", false),
    ] {
        let warnings = load(&[("DATABASE_URL", url), ("SECRET_KEY", GOOD_SECRET)]).warnings;
        assert_eq!(warnings.len(), usize::from(is_warned), "{url}: {warnings:?}");
        let names: Vec<_> = warnings.iter().map(|warning| warning.name.as_str()).collect();
        assert!(names.iter().all(|name| *name == "DATABASE_URL"), "{url}: {warnings:?}");
        assert!(!format!("{warnings:?}").contains("hunter2"), "{url}: {warnings:?}");
    }
    let five = |host| {
        load(&[
            ("DATABASE_HOSTNAME", host),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_PASSWORD", "hunter2"),
            ("DATABASE_NAME", "posts"),
            ("DATABASE_USERNAME", "ada"),
        ])
    };
    assert_eq!(five("localhost").warnings, []);
    assert_eq!(five("db").warnings[0].name, "DATABASE_HOSTNAME");
}

/// Returns the file of the embedded database.
pub(super) fn file_of(settings: &Settings) -> &Path {
    match &settings.database {
        Database::Sqlite(path) => path,
        Database::Postgres(address) => panic!("{address:?}"),
    }
}

/// Returns hosts, ports and name of the PostgreSQL database.
fn location_of(settings: &Settings) -> String {
    match &settings.database {
        Database::Postgres(address) => address.describe(),
        Database::Sqlite(path) => panic!("{path:?}"),
    }
}
