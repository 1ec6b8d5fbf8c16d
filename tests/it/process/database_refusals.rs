//! The start if PostgreSQL refuses the service, and credentials from each place.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Cluster, Service};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// A server without TLS that asks for passwords, with the role `ada` and an up-to-date database.
struct Server {
    cluster: Cluster,
    database: String,
}

impl Server {
    fn start() -> Self {
        let cluster = Cluster::start("password_encryption = 'scram-sha-256'\n");
        let database = cluster.database().keep();
        cluster.execute(
            "postgres",
            "CREATE ROLE ada SUPERUSER LOGIN PASSWORD 'p@ss word';
             CREATE ROLE bob PASSWORD 'p@ss word';
             CREATE ROLE eve LOGIN PASSWORD 'p@ss word';
             CREATE ROLE mallory LOGIN PASSWORD 'p@ss word'",
        );
        cluster.execute("postgres", &format!("REVOKE CONNECT ON DATABASE {database} FROM public"));
        cluster.write(
            "data/pg_hba.conf",
            "host all mallory 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n\
             local all tester trust\n",
        );
        cluster.stop("fast");
        cluster.start_server();
        Self { cluster, database }
    }

    /// Returns the URL for these credentials and this database, with parameters.
    fn url(&self, credentials: &str, rest: &str) -> String {
        let rest = rest.replace("DATABASE", &self.database);
        format!("postgresql://{credentials}@127.0.0.1:{}/{rest}", self.cluster.port())
    }
}

/// Runs a command that must fail, and returns its exit code and its output.
fn failed(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let mut command = Service::command(folder);
    command.args(arguments).envs(environment.iter().copied()).env("SECRET_KEY", KEY);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn refusal_that_does_not_pass_ends_the_start_with_its_cause_and_cure() {
    let server = Server::start();
    let folder = TempDir::new().unwrap();
    let good = "ada:p%40ss%20word";
    for (credentials, rest, variables, cause, cure) in [
        ("ada:hunter2", "DATABASE", vec![], "28P01", "check the role and its password"),
        ("absent:hunter2", "DATABASE", vec![], "28P01", "check the role and its password"),
        (good, "missing", vec![], "3D000", "create the database"),
        ("bob:p%40ss%20word", "DATABASE", vec![], "28000", "let the role log in"),
        ("mallory:p%40ss%20word", "DATABASE", vec![], "28000", "pg_hba.conf"),
        ("eve:p%40ss%20word", "DATABASE", vec![], "42501", "GRANT CONNECT"),
        ("ada", "DATABASE", vec![], "password missing", "PGPASSWORD"),
        (good, "DATABASE?sslmode=require", vec![], "does not support TLS", "turn on TLS"),
        (good, "DATABASE", vec![("PGSSLMODE", "require")], "does not support TLS", "turn on TLS"),
        (good, "DATABASE", vec![("PGREQUIRESSL", "1")], "does not support TLS", "turn on TLS"),
        (good, "DATABASE?channel_binding=require", vec![], "channel binding", "use TLS"),
    ] {
        let url = server.url(credentials, rest);
        let mut environment = variables;
        environment.push(("DATABASE_URL", &url));
        for command in [&["serve", "--port", "0"][..], &["serve", "--port", "0", "--upgrade"]] {
            let (code, output) = failed(folder.path(), command, &environment);
            assert_eq!(code, 3, "{url}: {output}");
            let error = output.lines().last().unwrap();
            assert!(error.starts_with("error: the database is unavailable: "), "{url}: {output}");
            assert!(error.contains(cause) && error.contains(cure), "{url}: {output}");
            assert!(!output.contains("  API   "), "{url}: {output}");
            assert!(!output.contains("hunter2") && !output.contains("p@ss"), "{url}: {output}");
        }
    }
}

#[test]
fn server_that_may_come_later_is_retried_with_its_causes_in_the_log() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgresql://ada:hunter2@{closed}/posts");
    let service = Service::start(&[("DATABASE_URL", &url), ("SECRET_KEY", KEY)]);
    let output = service.stderr();
    assert!(output.contains("error connecting to server: Connection refused"), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
    service.get("/readyz").expect(503);
}

#[test]
fn credentials_from_each_place_are_used() {
    let server = Server::start();
    let (database, port) = (server.database.as_str(), server.cluster.port().to_string());
    let folder = TempDir::new().unwrap();
    let passwords = folder.path().join(".pgpass");
    std::fs::write(&passwords, "*:*:*:ada:p@ss word\n").unwrap();
    std::fs::set_permissions(&passwords, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let home = folder.path().to_str().unwrap();
    let without_password = server.url("ada", "DATABASE");
    let with_parameters = format!(
        "postgresql://absent:no@no.example:1/no?host=127.0.0.1&port={port}&user=ada\
                 &password=p@ss%20word&dbname={database}"
    );
    let five = |password| {
        vec![
            ("DATABASE_HOSTNAME", "127.0.0.1"),
            ("DATABASE_PORT", port.as_str()),
            ("DATABASE_NAME", database),
            ("DATABASE_USERNAME", "ada"),
            ("DATABASE_PASSWORD", password),
        ]
    };
    let mut empty = five("");
    empty.push(("PGPASSWORD", "p@ss word"));
    let variables = vec![
        ("DATABASE_URL", "postgresql://"),
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "ada"),
        ("PGPASSWORD", "p@ss word"),
        ("PGDATABASE", database),
    ];
    for mut environment in [
        vec![("DATABASE_URL", without_password.as_str()), ("PGPASSWORD", "p@ss word")],
        vec![("DATABASE_URL", without_password.as_str()), ("HOME", home)],
        vec![("DATABASE_URL", with_parameters.as_str()), ("PGPASSWORD", "wrong")],
        five("p%40ss%20word"),
        five("p@ss word"),
        empty,
        variables,
    ] {
        environment.push(("SECRET_KEY", KEY));
        let data = TempDir::new().unwrap();
        let service = Service::start_in(data.path(), &environment);
        assert_eq!(service.get("/readyz").status, 200, "{environment:?}");
    }
}

/// Kubernetes and shells of operators set such variables for other programs.
#[test]
fn libpq_variables_leave_the_embedded_database_alone() {
    let variables = [("PGHOST", "no.example"), ("PGPASSWORD", "x"), ("PGSERVICE", "x")];
    let service = Service::start(&variables);
    service.get("/readyz").expect(200);
    assert!(service.path().join("data/posts.db").is_file());
}

#[test]
fn unusable_certificate_file_is_a_fault_of_a_setting() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    for (parameters, expected) in [
        ("sslmode=verify-full&sslrootcert=missing.pem", "sslrootcert missing.pem cannot be used"),
        ("sslmode=verify-ca&sslrootcert=empty.pem", "sslrootcert empty.pem has no certificate"),
        ("sslcert=empty.pem&sslkey=missing.key", "sslcert empty.pem has no certificate"),
        (
            "sslmode=verify-ca&sslrootcert=pipe",
            "sslrootcert pipe cannot be used: no process writes",
        ),
        ("sslcert=pipe&sslkey=missing.key", "sslcert pipe cannot be used: no process writes"),
    ] {
        let url = format!("postgresql://ada:hunter2@127.0.0.1:1/posts?{parameters}");
        let (code, output) = failed(folder.path(), &["serve"], &[("DATABASE_URL", &url)]);
        assert_eq!(code, 2, "{output}");
        assert!(output.contains(expected) && !output.contains("hunter2"), "{output}");
    }
}
