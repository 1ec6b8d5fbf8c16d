//! Settings that name the database.

use std::path::Path;

use post_api::config::{Database, Settings, Source};

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

/// A password that is set but empty is one: the role may need none.
#[test]
fn empty_database_password_is_accepted() {
    let four = [
        ("DATABASE_HOSTNAME", "db"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_NAME", "posts"),
        ("DATABASE_USERNAME", "ada"),
    ];
    let mut all = four.to_vec();
    all.push(("DATABASE_PASSWORD", ""));
    assert_eq!(location_of(&load(&all)), "postgresql://db:5432/posts");
    let from_file = "DATABASE_HOSTNAME=db\nDATABASE_PORT=5432\nDATABASE_NAME=posts\n\
                     DATABASE_USERNAME=ada\nDATABASE_PASSWORD=\n";
    let settings = Settings::load(&Source::from_parts(from_file, Vec::new())).unwrap();
    assert_eq!(location_of(&settings), "postgresql://db:5432/posts");
    // The other four cannot be empty.
    for (at, (name, _)) in four.iter().enumerate() {
        let mut blank = all.clone();
        blank[at].1 = " ";
        assert_eq!(errors(&blank)[0].name, *name);
    }
    // Empty settings select nothing.
    let empty = all.iter().map(|(name, _)| (*name, "")).collect::<Vec<_>>();
    assert_eq!(file_of(&load(&empty)), Path::new("./data/posts.db"));
}

/// Three slashes begin a relative path, and four an absolute one.
#[test]
fn sqlite_url_has_the_meaning_of_sqlalchemy() {
    for (url, expected) in [
        ("sqlite:posts.db", "posts.db"),
        ("sqlite:/srv/posts.db", "/srv/posts.db"),
        ("sqlite:///posts.db", "posts.db"),
        ("sqlite:///./posts.db", "./posts.db"),
        ("sqlite:///data/my%20posts.db", "data/my%20posts.db"),
        ("sqlite:////srv/posts.db", "/srv/posts.db"),
        ("sqlite+aiosqlite:///./posts.db", "./posts.db"),
        ("sqlite+pysqlite:////srv/posts.db", "/srv/posts.db"),
        (" sqlite:///posts.db ", "posts.db"),
    ] {
        assert_eq!(file_of(&load(&[("DATABASE_URL", url)])), Path::new(expected), "{url}");
    }
    for (url, problem, hint) in [
        ("sqlite", "it has no `:`", "sqlite:PATH"),
        ("sqlite:", "it names no file", "sqlite:PATH"),
        ("sqlite://", "in memory", "sqlite:posts.db"),
        ("sqlite:///", "in memory", "sqlite:posts.db"),
        ("sqlite:///:memory:", "in memory", "sqlite:posts.db"),
        ("sqlite::memory:", "in memory", "sqlite:posts.db"),
        ("sqlite+aiosqlite://", "in memory", "sqlite:posts.db"),
        ("sqlite://posts.db", "two slashes", "sqlite:///PATH"),
        ("sqlite://srv/posts.db", "two slashes", "sqlite:///PATH"),
        ("sqlite:///posts.db?mode=ro", "parameters", "question mark"),
        ("sqlite:posts.db?cache=shared", "parameters", "question mark"),
        ("sqlite:///file:posts.db", "another URL", "without `file:`"),
        ("sqlite:///~/posts.db", "`~`", "whole path"),
        ("sqlite:~/posts.db", "`~`", "whole path"),
        ("sqlite+pysqlcipher:///posts.db", "driver", "sqlite:PATH"),
        ("sqlite3:///posts.db", "driver", "sqlite:PATH"),
        ("sqlite+aiosqlite:posts.db", "`://`", "sqlite:PATH"),
    ] {
        let errors = errors(&[("DATABASE_URL", url)]);
        assert_eq!((errors.len(), errors[0].name.as_str()), (1, "DATABASE_URL"), "{url}");
        assert!(errors[0].problem.contains(problem), "{url}: {errors:?}");
        assert!(errors[0].hint.contains(hint), "{url}: {errors:?}");
    }
}

/// They complete the address of a database that the settings select.
#[test]
fn libpq_variables_do_not_select_postgresql() {
    let variables = [
        ("PGHOST", "db"),
        ("PGUSER", "ada"),
        ("PGPASSWORD", "hunter2"),
        ("PGDATABASE", "posts"),
        ("PGSSLMODE", "verify-full"),
        ("PGSERVICE", "posts"),
        ("PGPORT", "tcp://10.0.0.1:5432"),
    ];
    assert_eq!(file_of(&load(&variables)), Path::new("./data/posts.db"));
    let mut sqlite = variables.to_vec();
    sqlite.push(("DATABASE_URL", "sqlite:posts.db"));
    assert_eq!(file_of(&load(&sqlite)), Path::new("posts.db"));
    let mut postgres = variables[..5].to_vec();
    postgres.push(("DATABASE_URL", "postgresql://"));
    let settings = load(&postgres);
    assert_eq!(location_of(&settings), "postgresql://db:5432/posts");
    assert_eq!(settings.warnings, [], "the connection is encrypted");
    // Only the environment has variables, as for libpq.
    let source = Source::from_parts("PGHOST=db\nDATABASE_URL=postgresql:///x", Vec::new());
    assert!(Settings::load(&source).is_err());
}

#[test]
fn each_libpq_variable_that_is_not_honoured_is_an_error() {
    let variables = [
        ("PGSERVICE", "hunter2"),
        ("PGSSLCRL", "hunter2"),
        ("PGREQUIREPEER", "hunter2"),
        ("DATABASE_URL", "postgresql://ada:hunter2@db/posts"),
    ];
    let errors = errors(&variables);
    let mut names: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["PGREQUIREPEER", "PGSERVICE", "PGSSLCRL"]);
    assert!(errors.iter().all(|error| error.hint.contains("unset the variable")), "{errors:?}");
    assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
}

#[test]
fn pool_of_fewer_than_three_connections_is_rejected() {
    for size in ["0", "2", "1001", "many"] {
        assert_eq!(errors(&[("DATABASE_POOL_SIZE", size)])[0].name, "DATABASE_POOL_SIZE");
    }
    for size in ["3", "1000"] {
        load(&[("DATABASE_POOL_SIZE", size)]);
    }
}

#[test]
fn wait_for_a_failover_is_shorter_than_the_wait_for_an_answer() {
    for seconds in ["8", "-1", "long"] {
        let name = "DATABASE_FAILOVER_WAIT_SECONDS";
        assert_eq!(errors(&[(name, seconds)])[0].name, name);
    }
    for seconds in ["0", "7"] {
        load(&[("DATABASE_FAILOVER_WAIT_SECONDS", seconds)]);
    }
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
        ("postgresql://ada:hunter2@db/posts?password=hunter2&colour=hunter2", "colour"),
        ("postgresql://ada:hunter2@db/posts?sslcert=x", "sslcert is given without sslkey"),
        ("postgresql://ada:hunter2@db/posts?port=hunter2", "port"),
        ("postgresql://ada:hunter2@db/posts?sslmode=verify-full&sslrootcert=/no/pem", "/no/pem"),
        ("postgresql://ada:hunter2@db/posts?sslcert=/no/crt&sslkey=/no/key", "/no/crt"),
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

#[test]
fn reads_are_confirmed_only_if_the_setting_is_on() {
    let url = ("DATABASE_URL", "postgresql://ada@db/posts");
    let key = ("SECRET_KEY", GOOD_SECRET);
    for (value, expected) in [("on", true), ("off", false), ("", false)] {
        match load(&[url, key, ("DATABASE_CONFIRM_READS", value)]).database {
            Database::Postgres(address) => assert_eq!(address.confirms_reads(), expected),
            Database::Sqlite(path) => panic!("{path:?}"),
        }
    }
    for (hosts, target, is_right) in [
        ("db", "primary", true),
        ("db", "read-write", true),
        ("db", "any", false),
        ("db", "standby", false),
        ("db,other", "primary", true),
        ("db,other", "read-only", false),
    ] {
        let url = format!("postgresql://ada@{hosts}/posts?target_session_attrs={target}");
        let settings = [("DATABASE_URL", url.as_str()), key, ("DATABASE_CONFIRM_READS", "on")];
        if is_right {
            load(&settings);
        } else {
            assert_eq!(errors(&settings)[0].name, "DATABASE_CONFIRM_READS", "{target}");
        }
    }
    // The embedded database has no standby, so there is nothing to confirm.
    let settings = load(&[("DATABASE_CONFIRM_READS", "on")]);
    assert!(matches!(settings.database, Database::Sqlite(_)));
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
