//! Tests of URLs, of the five settings, and of libpq's variables.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::config::TargetSessionAttrs;

use super::*;

/// Returns an address as `user:password@host:port,host:port/database`.
fn whole(address: &Address) -> String {
    let password = address.config.get_password().map(String::from_utf8_lossy);
    let password = password.map_or_else(String::new, |password| format!(":{password}"));
    let place = address.describe();
    let place = place.strip_prefix("postgresql://").unwrap();
    format!("{}{password}@{place}", address.config.get_user().unwrap())
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let mut environment = Environment::default();
    for (name, value) in variables {
        environment.set(name, value);
    }
    environment
}

fn parse_in(url: &str, variables: &[(&str, &str)]) -> Result<Address> {
    Address::parse_in(url, &environment(variables))
}

#[track_caller]
fn parse(url: &str) -> Address {
    Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Returns the problem of a URL.
#[track_caller]
fn problem(url: &str) -> String {
    match Address::parse(url) {
        Ok(address) => panic!("{url}: {}", whole(&address)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn url_is_read_as_libpq_reads_it() {
    for (url, expected) in [
        ("postgresql://ada:pw@db/posts", "ada:pw@db:5432/posts"),
        ("postgres://a%40b:p%40s%2Fs@db:6543/my%20posts", "a@b:p@s/s@db:6543/my posts"),
        ("postgresql://ada:100%@db/posts", "ada:100%@db:5432/posts"),
        ("postgresql://ada:a:b@db/posts", "ada:a:b@db:5432/posts"),
        ("postgresql://ada:@db/posts", "ada@db:5432/posts"),
        ("postgresql://ada@[::1]:1,db,[::2]/posts", "ada@[::1]:1,db:5432,[::2]:5432/posts"),
        ("postgresql://ada@%2Frun%2Fpg:6000/posts", "ada@/run/pg:6000/posts"),
        (
            "postgresql:///posts?host=/run/pg&user=ada&password=p%2Bw+",
            "ada:p+w+@/run/pg:5432/posts",
        ),
        ("postgresql://db/posts?user=a@b&application_name=x/y@z", "a@b@db:5432/posts"),
        ("postgresql://a:1,b/posts?user=ada&application_name=x@z", "ada@a:1,b:5432/posts"),
        ("postgresql://db?user=ada&dbname=posts", "ada@db:5432/posts"),
        ("postgresql://ada@/posts?hostaddr=192.0.2.1", "ada@192.0.2.1:5432/posts"),
        ("postgresql://ada@db/posts?sslmode=&port=", "ada@db:5432/posts"),
        // No URL of libpq, but one of SQLAlchemy.
        ("postgresql://ada:a/b@db/posts", "ada:a/b@db:5432/posts"),
        ("postgresql://ada:a?b/c@db/posts", "ada:a?b/c@db:5432/posts"),
    ] {
        assert_eq!(whole(&parse(url)), expected, "{url}");
    }
}

/// A URL with a driver is `SQLAlchemy`'s: it does not decode the name of the database, and a plus
/// sign in a parameter is a space.
#[test]
fn url_with_a_driver_is_read_as_sqlalchemy_reads_it() {
    for driver in ["psycopg2", "psycopg", "asyncpg"] {
        let address = parse(&format!(
            "postgresql+{driver}://a:p%40@db/my%20posts?options=-c+a%3Db&flag&ssl=verify-full"
        ));
        assert_eq!(whole(&address), "a:p@@db:5432/my%20posts");
        assert_eq!(address.options.as_deref(), Some("-c a=b"));
        assert_eq!(address.tls.trust, Trust::Host(Roots::Native));
    }
    let twice = problem("postgresql+psycopg2://ada@/posts?host=a&host=b");
    assert!(twice.contains("separate the hosts by commas"), "{twice}");
}

#[test]
fn parameters_replace_the_authority() {
    for (parameters, expected) in [
        ("host=B", "u:p@B:1111/d"),
        ("host=B&port=2222", "u:p@B:2222/d"),
        ("host=B,C&port=1,2", "u:p@B:1,C:2/d"),
        ("host=B&host=C", "u:p@C:1111/d"),
        ("user=v&password=q&dbname=e", "v:q@A:1111/e"),
        ("port=", "u:p@A:5432/d"),
    ] {
        let address = parse(&format!("postgresql://u:p@A:1111/d?{parameters}"));
        assert_eq!(whole(&address), expected, "{parameters}");
    }
    let address = parse("postgresql://u@A:1111/d?hostaddr=192.0.2.1");
    assert_eq!(address.config.get_hostaddrs(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn invalid_parameter_is_named_without_its_value() {
    for (parameters, expected) in [
        ("port=hunter2", "port is no port (1 to 65535)"),
        ("port=0", "port is no port (1 to 65535)"),
        ("port=65536", "port is no port (1 to 65535)"),
        ("port=1,2", "port has another number of elements than host"),
        ("hostaddr=hunter2", "hostaddr is no list of IP addresses"),
        ("hostaddr=::1,::2", "hostaddr has another number of elements than host"),
        ("host=,hunter2", "host has an empty name"),
        ("user=", "it names no user"),
        ("dbname=", "it names no database"),
        ("connect_timeout=hunter2", "connect_timeout is no whole number"),
        ("tcp_user_timeout=hunter2", "tcp_user_timeout is no whole number"),
        ("keepalives_count=hunter2", "keepalives_count is no whole number"),
        ("sslmode=hunter2", "sslmode is none of disable, allow"),
        ("sslcertmode=require", "sslcertmode is supported only as allow or disable"),
        ("sslcert=hunter2", "sslcert is given without sslkey"),
        ("ssl_min_protocol_version=hunter2", "ssl_min_protocol_version is none of"),
        ("ssl_max_protocol_version=TLSv1.1", "ssl_max_protocol_version leaves no version"),
        ("channel_binding=hunter2", "channel_binding is none of"),
        ("load_balance_hosts=hunter2", "load_balance_hosts is none of"),
        ("target_session_attrs=prefer-standby", "target_session_attrs is none of"),
        ("gssencmode=require", "gssencmode is supported only as disable or prefer"),
        ("client_encoding=latin1", "client_encoding is supported only as utf8"),
        ("sslcrl=hunter2", "sslcrl is not supported"),
        ("require_auth=scram-sha-256", "require_auth is not supported"),
        ("requirepeer=hunter2", "requirepeer is not supported"),
        ("service=hunter2", "service is not supported"),
        ("colour=hunter2", "its parameter `colour` is not one of libpq's"),
        ("hunter2%21=1", "its parameter `***` is not one of libpq's"),
        ("sslmode", "it has a parameter without `=`"),
        ("password=%FF", "its parameter is not UTF-8"),
        ("password=%00", "its password has a zero byte"),
    ] {
        // An empty parameter makes the part of the authority missing.
        let found = problem(&format!("postgresql://u:hunter2@A:1111/d?{parameters}"));
        assert!(found.contains(expected), "{parameters}: {found}");
        assert!(!found.contains("hunter2"), "{parameters}: {found}");
    }
    let several = problem("postgresql://u@A/d?sslcrl=x&requirepeer=y");
    assert_eq!(several, "sslcrl is not supported; requirepeer is not supported");
}

#[test]
fn parameter_without_effect_is_accepted() {
    for parameters in [
        "gssencmode=disable",
        "gssencmode=prefer",
        "client_encoding=utf8",
        "client_encoding=UTF-8",
        "client_encoding=auto",
        "fallback_application_name=x",
        "sslcompression=0",
        "sslsni=1",
        "sslnegotiation=postgres",
        "krbsrvname=postgres",
        "replication=false",
        "max_protocol_version=latest",
        "target_session_attrs=primary",
        "load_balance_hosts=random",
        "sslcertmode=disable&sslcert=x",
    ] {
        parse(&format!("postgresql://u@A/d?{parameters}"));
    }
}

#[test]
fn parameters_have_the_units_of_libpq() {
    let config = parse("postgresql://u@A/d").config;
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(10)));
    assert_eq!(config.get_application_name(), Some("post-api"));
    let given = "connect_timeout=1&tcp_user_timeout=1500&keepalives_idle=7&keepalives_interval=8\
                 &keepalives_count=9&fallback_application_name=x";
    let config = parse(&format!("postgresql://u@A/d?{given}")).config;
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(2)));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7));
    assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(8)));
    assert_eq!(config.get_keepalives_retries(), Some(9));
    assert_eq!(config.get_application_name(), Some("x"));
    let none = "connect_timeout=0&tcp_user_timeout=0&keepalives=0&keepalives_interval=0";
    let config = parse(&format!("postgresql://u@A/d?{none}")).config;
    assert_eq!(config.get_connect_timeout(), None);
    assert_eq!(config.get_tcp_user_timeout(), None);
    assert_eq!(config.get_keepalives_interval(), None);
    assert!(!config.get_keepalives());
}

fn five<'a>(
    hostname: &'a str,
    name: &'a str,
    username: &'a str,
    password: &'a str,
) -> UrlParts<'a> {
    UrlParts { hostname, port: 5432, name, username, password }
}

/// The results are those of `SQLAlchemy` 1.4.54 for the URL of the five settings, unless that URL is
/// invalid or can never work.
#[test]
fn five_settings_are_read_as_parts_of_a_url() {
    for (parts, expected) in [
        (five("db", "posts", "ada", "pw"), "ada:pw@db:5432/posts"),
        (five("db", "posts", "ada", "p%40ss"), "ada:p@ss@db:5432/posts"),
        (five("db", "posts", "a%3Ab", "a/b?c:d#e+f"), "a:b:a/b?c:d#e+f@db:5432/posts"),
        (five("db", "posts", "u@x", "100%"), "u@x:100%@db:5432/posts"),
        (five("db", "posts", "ada", ""), "ada@db:5432/posts"),
        (five("[::1]", "posts", "ada", "pw"), "ada:pw@[::1]:5432/posts"),
        (five("a,b", "posts", "ada", "pw"), "ada:pw@a:5432,b:5432/posts"),
        (five("db", "my%20posts", "ada", "pw"), "ada:pw@db:5432/my%20posts"),
        (five("db", "x?sslmode=prefer", "ada", "pw"), "ada:pw@db:5432/x"),
        (five("db", "x?port=6000&user=bob", "ada", "pw"), "bob:pw@db:6000/x"),
        (five("db", "what?", "ada", "pw"), "ada:pw@db:5432/what"),
        // No such URL is valid, so these are literal.
        (five("db", "posts", "ada", "p@s%40"), "ada:p@s%40@db:5432/posts"),
        (five("db", "posts", "ada", "p%ff"), "ada:p%ff@db:5432/posts"),
        (five("db", "posts", "a:b%40", "pw"), "a:b%40:pw@db:5432/posts"),
        (five("::1", "posts", "ada", "pw"), "ada:pw@[::1]:5432/posts"),
        (five("/run/pg", "posts", "ada", "pw"), "ada:pw@/run/pg:5432/posts"),
        (five("%2Frun%2Fpg", "posts", "ada", "pw"), "ada:pw@/run/pg:5432/posts"),
    ] {
        let address = Address::from_parts(parts, &Environment::default()).unwrap();
        assert_eq!(whole(&address), expected);
    }
    let options = five("db", "x?options=-c+search_path%3Dapp&sslmode=verify-full", "ada", "pw");
    let address = Address::from_parts(options, &Environment::default()).unwrap();
    assert_eq!(address.options.as_deref(), Some("-c search_path=app"));
    assert_eq!(address.tls.trust, Trust::Host(Roots::Native));
}

#[test]
fn invalid_part_is_named() {
    for (parts, origin, expected) in [
        (five("db:6432", "x", "ada", "pw"), "DATABASE_HOSTNAME", "contains a port"),
        (five("a,db:6432", "x", "ada", "pw"), "DATABASE_HOSTNAME", "contains a port"),
        (five("tcp://db", "x", "ada", "pw"), "DATABASE_HOSTNAME", "is no host name"),
        (five("db/x", "x", "ada", "pw"), "DATABASE_HOSTNAME", "is no host name"),
        (five("db?sslmode=require", "x", "ada", "pw"), "DATABASE_HOSTNAME", "is no host name"),
        (five("ada@db", "x", "ada", "pw"), "DATABASE_HOSTNAME", "is no host name"),
        (five("db", "x?sslmode=strict", "ada", "pw"), "DATABASE_NAME", "sslmode is none of"),
        (five("db", "x?colour=red", "ada", "pw"), "DATABASE_NAME", "`colour`"),
        (five("db", "x?sslcrl=a", "ada", "pw"), "DATABASE_NAME", "sslcrl is not supported"),
    ] {
        let error = Address::from_parts(parts, &Environment::default()).unwrap_err();
        assert_eq!(error.faults()[0].origin, Some(origin), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

const ALL: [(&str, &str); 10] = [
    ("PGHOST", "env"),
    ("PGPORT", "6000"),
    ("PGUSER", "eve"),
    ("PGPASSWORD", "secret"),
    ("PGDATABASE", "envdb"),
    ("PGSSLMODE", "verify-full"),
    ("PGOPTIONS", "-c a=b"),
    ("PGAPPNAME", "app"),
    ("PGCONNECT_TIMEOUT", "9"),
    ("PGTARGETSESSIONATTRS", "read-only"),
];

#[test]
fn environment_completes_a_url() {
    let address = parse_in("postgresql://", &ALL).unwrap();
    assert_eq!(whole(&address), "eve:secret@env:6000/envdb");
    assert_eq!(address.tls.trust, Trust::Host(Roots::Native));
    assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
    assert_eq!(address.options.as_deref(), Some("-c a=b"));
    assert_eq!(address.config.get_application_name(), Some("app"));
    assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(9)));
    assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadOnly);
    let url = "postgresql://u:p@A:1111/d?sslmode=disable&options=-c+c&application_name=mine";
    let address = parse_in(url, &ALL).unwrap();
    assert_eq!(whole(&address), "u:p@A:1111/d");
    assert_eq!(address.config.get_ssl_mode(), SslMode::Disable);
    assert_eq!(address.config.get_application_name(), Some("mine"));
    // An empty password is none, as in libpq.
    let address = Address::from_parts(five("db", "x", "ada", ""), &environment(&ALL)).unwrap();
    assert_eq!(whole(&address), "ada:secret@db:5432/x");
    assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
}

/// libpq would connect more safely, so no weaker connection may replace the error.
#[test]
fn variable_that_is_not_honoured_is_refused() {
    for (name, value) in [
        ("PGSSLCRL", "x"),
        ("PGSSLCRLDIR", "x"),
        ("PGREQUIREPEER", "x"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGSERVICE", "x"),
        ("PGGSSENCMODE", "require"),
        ("PGSSLCERTMODE", "require"),
        ("PGSSLNEGOTIATION", "direct"),
        ("PGSSLSNI", "0"),
        ("PGMINPROTOCOLVERSION", "3.2"),
        ("PGCLIENTENCODING", "latin1"),
        ("PGSSLMODE", "strict"),
        ("PGPORT", "x"),
        ("PGHOSTADDR", "x"),
        ("PGPASSWORD", "\u{FFFD}"),
    ] {
        let error = parse_in("postgresql://u@A/d", &[(name, value)]).unwrap_err();
        if name != "PGPORT" {
            assert_eq!(error.faults()[0].origin, Some(name), "{error}");
        }
        parse_in("postgresql://u@A/d", &[(name, "")]).unwrap();
    }
    let both = [("PGSSLCRL", "x"), ("PGSERVICE", "y")];
    assert_eq!(parse_in("postgresql://u@A/d", &both).unwrap_err().faults().len(), 2);
    parse_in("postgresql://u@A/d?gssencmode=disable", &[("PGGSSENCMODE", "require")]).unwrap();
}

#[test]
fn required_tls_is_never_weaker_than_in_libpq() {
    let home = tempfile::TempDir::new().unwrap();
    let path = home.path().to_str().unwrap();
    let trust = |url: &str, variables: &[(&str, &str)]| {
        let mut all = variables.to_vec();
        all.push(("HOME", path));
        let address = parse_in(url, &all).unwrap();
        (address.config.get_ssl_mode(), address.tls.trust)
    };
    let url = "postgresql://u@A/d";
    let any = Trust::AnyCertificate;
    assert_eq!(trust(url, &[]), (SslMode::Prefer, any.clone()));
    assert_eq!(trust(url, &[("PGREQUIRESSL", "1")]), (SslMode::Require, any.clone()));
    assert_eq!(trust(&format!("{url}?requiressl=1"), &[]), (SslMode::Require, any.clone()));
    assert_eq!(trust(url, &[("PGSSLMODE", "require")]), (SslMode::Require, any.clone()));
    let file = |name: &str| Roots::File(Path::new(name).to_owned());
    let variables = [("PGSSLMODE", "require"), ("PGSSLROOTCERT", "/x.pem")];
    let authority = Trust::Authority(file("/x.pem"));
    assert_eq!(trust(url, &variables), (SslMode::Require, authority));
    std::fs::create_dir(home.path().join(".postgresql")).unwrap();
    let root = home.path().join(".postgresql/root.crt");
    std::fs::write(&root, "").unwrap();
    let root = Roots::File(root);
    let require = format!("{url}?sslmode=require");
    assert_eq!(trust(&require, &[]).1, Trust::Authority(root.clone()));
    assert_eq!(trust(url, &[("PGSSLMODE", "verify-full")]).1, Trust::Host(root));
    let system = trust(url, &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "system")]).1;
    assert_eq!(system, Trust::Host(Roots::Native));
    // Unix sockets have no TLS.
    assert_eq!(trust("postgresql://u@%2Frun/d?sslmode=require", &[]).0, SslMode::Disable);
    let mixed = "postgresql://u@%2Frun,A/d?sslmode=require";
    assert_eq!(trust(mixed, &[]).0, SslMode::Require);
}

#[test]
fn password_file_is_read_like_libpq() {
    let home = tempfile::TempDir::new().unwrap();
    let (default, other) = (home.path().join(".pgpass"), home.path().join("other"));
    let write = |path: &Path, text: &str, mode| {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    write(&default, "A:5432:d:u:one\nB:*:*:*:two\nC:*:*:*:one\nlocalhost:*:*:*:unix\n", 0o600);
    write(&other, "*:*:*:*:other\n", 0o600);
    let home = home.path().to_str().unwrap();
    let password = |url: &str, variables: &[(&str, &str)]| {
        let mut all = variables.to_vec();
        all.push(("HOME", home));
        parse_in(url, &all).map(|address| whole(&address))
    };
    let other = other.to_str().unwrap();
    let url = "postgresql://u@A/d";
    assert_eq!(password(url, &[]).unwrap(), "u:one@A:5432/d");
    assert_eq!(password("postgresql://u@A:1/d", &[]).unwrap(), "u@A:1/d");
    assert_eq!(password("postgresql://u:own@A/d", &[]).unwrap(), "u:own@A:5432/d");
    assert_eq!(password(url, &[("PGPASSWORD", "variable")]).unwrap(), "u:variable@A:5432/d");
    assert_eq!(password(url, &[("PGPASSFILE", other)]).unwrap(), "u:other@A:5432/d");
    let with_parameter = format!("{url}?passfile={other}");
    assert_eq!(password(&with_parameter, &[]).unwrap(), "u:other@A:5432/d");
    assert_eq!(password(url, &[("PGPASSFILE", "/not/there")]).unwrap(), "u@A:5432/d");
    let socket = "postgresql://u@%2Fvar%2Frun%2Fpostgresql/d";
    assert_eq!(password(socket, &[]).unwrap(), "u:unix@/var/run/postgresql:5432/d");
    assert_eq!(password("postgresql://u@A,C/d", &[]).unwrap(), "u:one@A:5432,C:5432/d");
    let error = password("postgresql://u@A,B/d", &[]).unwrap_err();
    assert_eq!(error.faults()[0].origin, Some("PGPASSFILE"));
    for mode in [0o640, 0o604, 0o666] {
        write(&default, "*:*:*:*:exposed\n", mode);
        let address = parse_in(url, &[("HOME", home)]).unwrap();
        assert_eq!(whole(&address), "u@A:5432/d", "{mode:o}");
        assert!(address.warnings()[0].contains("make its mode 0600"), "{:?}", address.warnings());
    }
}
