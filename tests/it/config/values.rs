//! Valid and invalid values of each setting.

use post_api::config::{SETTINGS, SettingError, Settings};
use post_api::server::AllowedOrigins;

use super::settings::{GOOD_SECRET, errors, load, source};

#[test]
fn valid_values_are_accepted() {
    let valid: [(&str, &[&str]); 31] = [
        ("HOST", &["0.0.0.0", "::", "localhost", "[::1]", "[::]"]),
        ("PORT", &["0", "1", "65535", " 80 "]),
        ("SERVER_THREADS", &["", "1", "1024"]),
        ("KEEP_ALIVE_TIMEOUT_SECONDS", &["1", "3600"]),
        ("CLIENT_MEMORY_MIB", &["64", "1048576"]),
        ("METRICS_ADDRESS", &["", "127.0.0.1:9464", "[::1]:0", "10.1.2.3:65535"]),
        ("DATA_DIR", &["/var/lib/posts", "with space"]),
        ("DATABASE_URL", &["sqlite:posts.db", "sqlite:/a/b.db", "sqlite:///a/b.db"]),
        ("SECRET_KEY", &[GOOD_SECRET]),
        (
            "SECRET_KEYS",
            &[GOOD_SECRET, "7c1f0a94e2b85d36f7a1c05e9d42b83a,another-secret-of-33-bytes-or-more\n"],
        ),
        ("ALGORITHM", &["HS256", "hs384", "HS512", "RS256", "es256", "EdDSA"]),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", &["1", "525600"]),
        ("REFRESH_TOKEN_EXPIRE_DAYS", &["1", "3650"]),
        ("SESSION_EXPIRE_DAYS", &["1", "3650"]),
        ("COMPAT", &["", "reference", "REFERENCE"]),
        ("DRAFT_VISIBILITY", &["private", "visible", "Visible"]),
        ("POSTS_DEFAULT_LIMIT", &["1", "1000", "none", "None"]),
        ("PUBLIC_EMAILS", &["on", "off", "true", "false", "1", "0", "ON"]),
        ("PASSWORD_MIN_LENGTH", &["0", "4096"]),
        ("PASSWORD_BLOCKLIST", &["on", "off"]),
        ("ANONYMOUS_READS", &["on", "off"]),
        ("DELETE_REQUIRES_PASSWORD", &["on", "off"]),
        ("ARGON2_MEMORY_KIB", &["32", "1048576"]),
        ("ARGON2_ITERATIONS", &["1", "32"]),
        ("ARGON2_PARALLELISM", &["1", "64"]),
        (
            "CORS_ORIGINS",
            &[
                "*",
                "",
                " ",
                "https://a.example",
                "http://a.example:8080, https://b.example",
                "http://a.example:443, https://a.example:80",
                "https://[::1]:8443, http://[::1]",
                "chrome-extension://abcdefgh",
            ],
        ),
        ("CORS_CREDENTIALS", &["off", "false", "0"]),
        ("ROOT_PATH", &["", "/", "/api", "/api/", "/a/b-c", "/TITLE", "/~ada/v1.2"]),
        ("DOCS", &["on", "off"]),
        ("LOG_FORMAT", &["text", "json", "JSON"]),
        ("LOG_LEVEL", &["error", "warn", "info", "debug", "trace", "TRACE", "warning", "CRITICAL"]),
    ];
    for (name, values) in valid {
        for value in values {
            load(&[(name, value)]);
        }
    }
}

const INVALID: [(&str, &[&str]); 40] = [
    ("PORT", &["-1", "65536", "80a", "http", "8 0"]),
    ("SERVER_THREADS", &["0", "1025", "-1", "auto"]),
    ("KEEP_ALIVE_TIMEOUT_SECONDS", &["0", "3601", "75s", "off"]),
    ("CLIENT_MEMORY_MIB", &["0", "63", "1048577", "512M", "none"]),
    ("METRICS_ADDRESS", &["9464", ":9464", "localhost:9464", "127.0.0.1", "::1:9464", "on"]),
    (
        "DATABASE_URL",
        &["mysql://x", "posts.db", "postgres://x", "sqlite:", "sqlite://", "sqlite::memory:"],
    ),
    ("SECRET_KEY", &["short", "changeme", "00000000000000000000000000000000"]),
    ("SECRET_KEYS", &["short", ",", "changeme,changeme"]),
    ("SIGNING_KEYS", &["short", "-----BEGIN PRIVATE KEY-----"]),
    ("ALGORITHM", &["none", "RS512", "PS256", "HS256,HS384"]),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", &["0", "525601", "-1", "1.5", "99999999999999999999"]),
    ("REFRESH_TOKEN_EXPIRE_DAYS", &["0", "3651", "30d"]),
    ("SESSION_EXPIRE_DAYS", &["0", "3651", "never"]),
    ("COMPAT", &["yes", "on"]),
    ("DRAFT_VISIBILITY", &["on", "public"]),
    ("POSTS_DEFAULT_LIMIT", &["0", "1001", "all", "-1"]),
    ("PUBLIC_EMAILS", &["yes", "2"]),
    ("PASSWORD_MIN_LENGTH", &["-1", "4097", "eight"]),
    ("PASSWORD_BLOCKLIST", &["maybe"]),
    ("ANONYMOUS_READS", &["published"]),
    ("DELETE_REQUIRES_PASSWORD", &["ask"]),
    ("ARGON2_MEMORY_KIB", &["0", "7", "31", "1048577"]),
    ("ARGON2_ITERATIONS", &["0", "33"]),
    ("ARGON2_PARALLELISM", &["0", "65"]),
    ("TRUSTED_PROXIES", &["proxy", "*", "10.0.0.0/33", "0.0.0.0/0", "10.0.0.1 10.0.0.2"]),
    ("RATE_LIMITS", &["yes"]),
    ("RATE_LIMIT_LOGIN_IP", &["0/1s", "1/0s", "1000001/1s", "1/25h", "1/86401s", "20"]),
    ("RATE_LIMIT_LOGIN_ACCOUNT", &["20/5", "20/m", "/5m", "20/5m/1", "-1/5m", "+1/5m"]),
    ("RATE_LIMIT_LOGIN_LOCKED", &["1.5/1h", "1/1d", "1 / 1h", "none", "on"]),
    ("LOGIN_LOCKOUT_THRESHOLD", &["0", "101", "off"]),
    ("RATE_LIMIT_SIGN_UP", &["99999999999999999999/1h", "1/99999999999999999999h"]),
    ("RATE_LIMIT_WRITES", &["1/1M", "/", "//"]),
    (
        "CORS_ORIGINS",
        &[
            "example.org",
            "https://",
            "*, https://a.example",
            "https://a.example/",
            "https://a b",
            "https://a.example:443",
            "http://a.example:80",
            "https://[::1]:443",
            "https://a.example:",
            "https://a.example:08080",
            "https://a.example:65536",
            "https://a.example:port",
            "https://::1",
        ],
    ),
    (
        "ROOT_PATH",
        &[
            "api",
            "/a b",
            "/a?b",
            "/a#b",
            "/a%2fb",
            "/{{title}}",
            "https://a.example/api",
            "//host",
            "//",
            "/api//",
            "/a//b",
            "/..",
            "/a/../b",
            "/./a",
            "\\\\host",
        ],
    ),
    ("CORS_CREDENTIALS", &["yes", "on", "1"]),
    ("DOCS", &["yes"]),
    ("ACCESS_LOG", &["all"]),
    ("LOG_FORMAT", &["xml"]),
    ("LOG_LEVEL", &["loud", "off"]),
    ("PASSWORD_FORBIDDEN_WORDS", &["ab", "acme, éé"]),
];

#[test]
fn invalid_values_are_rejected_by_name_with_a_hint() {
    for (name, values) in INVALID {
        for value in values {
            let errors = errors(&[(name, value)]);
            assert_eq!(errors.len(), 1, "{name}={value}: {errors:?}");
            let SettingError { name: named, problem, hint } = &errors[0];
            assert_eq!(named, name, "{name}={value}");
            assert!(!problem.is_empty() && !hint.is_empty(), "{name}={value}: {errors:?}");
            assert_eq!(errors[0].to_string(), format!("{name}: {problem}; {hint}"));
        }
    }
}

/// Settings that accept any text.
const TEXTS: [&str; 4] = ["HOST", "DATA_DIR", "BACKUP_DIR", "PASSWORD_FORBIDDEN_WORDS"];

/// The database settings of the reference service.
const REFERENCE_DATABASE_SETTINGS: [&str; 5] = [
    "DATABASE_HOSTNAME",
    "DATABASE_PORT",
    "DATABASE_PASSWORD",
    "DATABASE_NAME",
    "DATABASE_USERNAME",
];

#[test]
fn defined_settings_are_all_loaded() {
    for setting in SETTINGS {
        let loaded = Settings::load(&source(&[(setting.name, "no sense at all")]));
        if TEXTS.contains(&setting.name) {
            let settings = loaded.unwrap_or_else(|errors| panic!("{errors:?}"));
            assert!(format!("{settings:?}").contains("no sense at all"), "{}", setting.name);
            continue;
        }
        let errors = loaded.err().unwrap_or_else(|| panic!("{} is not read", setting.name));
        if REFERENCE_DATABASE_SETTINGS.contains(&setting.name) {
            // Only one of the five is set, so the other four are missing.
            let named: Vec<&str> = errors.iter().map(|error| error.name.as_str()).collect();
            assert_eq!(named.len(), 4, "{}: {named:?}", setting.name);
            assert!(!named.contains(&setting.name), "{named:?}");
        } else {
            assert!(errors.iter().all(|error| error.name == setting.name), "{errors:?}");
        }
    }
    let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "duplicate name: {names:?}");
}

#[test]
fn invalid_settings_are_reported_together() {
    let names = [
        "PORT",
        "SERVER_THREADS",
        "ACCESS_TOKEN_EXPIRE_MINUTES",
        "REFRESH_TOKEN_EXPIRE_DAYS",
        "SESSION_EXPIRE_DAYS",
        "ALGORITHM",
        "SECRET_KEY",
        "SECRET_KEYS",
        "SIGNING_KEYS",
        "TLS_CERT",
        "DATABASE_URL",
        "COMPAT",
        "DRAFT_VISIBILITY",
        "POSTS_DEFAULT_LIMIT",
        "PUBLIC_EMAILS",
        "PASSWORD_MIN_LENGTH",
        "PASSWORD_BLOCKLIST",
        "ANONYMOUS_READS",
        "DELETE_REQUIRES_PASSWORD",
        "ARGON2_MEMORY_KIB",
        "ARGON2_ITERATIONS",
        "ARGON2_PARALLELISM",
        "TRUSTED_PROXIES",
        "RATE_LIMITS",
        "RATE_LIMIT_LOGIN_IP",
        "RATE_LIMIT_LOGIN_ACCOUNT",
        "LOGIN_LOCKOUT_THRESHOLD",
        "RATE_LIMIT_LOGIN_LOCKED",
        "RATE_LIMIT_SIGN_UP",
        "RATE_LIMIT_WRITES",
        "CORS_ORIGINS",
        "CORS_CREDENTIALS",
        "ROOT_PATH",
        "DOCS",
        "ACCESS_LOG",
        "LOG_FORMAT",
        "LOG_LEVEL",
    ];
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, "no sense")).collect();
    let mut reported: Vec<String> = errors(&pairs).into_iter().map(|error| error.name).collect();
    reported.sort_unstable();
    let mut expected = names.map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(reported, expected);
}

/// Browsers send no credentials to `*`.
#[test]
fn cors_credentials_need_listed_origins() {
    let listed = ("CORS_ORIGINS", "https://a.example");
    let settings = load(&[listed, ("CORS_CREDENTIALS", "on")]);
    assert!(matches!(settings.cors_origins, AllowedOrigins::ListedWithCredentials(_)));
    assert!(matches!(load(&[listed]).cors_origins, AllowedOrigins::Listed(_)));
    for pairs in [
        vec![("CORS_CREDENTIALS", "on")],
        vec![("CORS_CREDENTIALS", "on"), ("CORS_ORIGINS", "*")],
        vec![("CORS_CREDENTIALS", "on"), ("COMPAT", "reference")],
    ] {
        let errors = errors(&pairs);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].name, "CORS_CREDENTIALS");
        assert!(errors[0].hint.contains("CORS_ORIGINS"), "{errors:?}");
    }
}
