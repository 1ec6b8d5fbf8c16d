//! The folder and the database of the service, the failures of its store, and its stored data.

use std::fs::File;
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use super::Canaries;
use super::canary::Canary;
use crate::support::{Cluster, Engine, Service};

pub(super) struct Fixture {
    folder: TempDir,
    server: Option<Server>,
    environment: Vec<(&'static str, String)>,
}

struct Server {
    cluster: Cluster,
    name: String,
}

/// How a store fails.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// The table is missing.
    MissingTable,
    /// The server is stopped.
    ServerDown,
    /// The database rejects a new row, and an update of a hash. The error details of PostgreSQL
    /// contain the row with its hash.
    RejectedRow,
}

/// The role of the service needs a password; the role of the tests does not.
const ACCESS: &str = "host all keeper 127.0.0.1/32 scram-sha-256\n\
                      host all all 127.0.0.1/32 trust\n\
                      local all all trust\n";

const REJECT_IN_SQLITE: &str = "
    CREATE TRIGGER none BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'rejected'); END;
    CREATE TRIGGER no_other BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'rejected'); END";

const REJECT_IN_POSTGRESQL: &str = "ALTER TABLE users ADD CONSTRAINT none
    CHECK (email NOT LIKE 'rejected%' AND (email NOT LIKE 'weak%' OR password NOT LIKE '$argon2%'))";

impl Fixture {
    pub(super) fn new(engine: Engine, key: &Canary, password: &Canary) -> Self {
        let folder = TempDir::new().unwrap();
        let mut environment = vec![("SECRET_KEY", key.text.clone())];
        let server = (engine == Engine::Postgres).then(|| Server::start(password));
        if let Some(server) = &server {
            environment.push(("DATABASE_URL", server.url(password)));
        }
        Self { folder, server, environment }
    }

    /// Moves the secrets of the service to `.env`.
    pub(super) fn move_settings_to_a_file(&mut self) {
        let lines = self.environment.drain(..).map(|(name, value)| format!("{name}='{value}'\n"));
        std::fs::write(self.folder.path().join(".env"), lines.collect::<String>()).unwrap();
    }

    /// Returns the command of the binary, with its standard output in a file.
    pub(super) fn command(&self) -> Command {
        let mut command = Service::command(self.folder.path());
        let output = File::options().create(true).append(true).open(self.folder.path().join("out"));
        command.stdout(output.unwrap());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(super) fn serve(&self, settings: &[(&str, &str)]) -> Service {
        let mut command = self.command();
        command.args(["serve", "--port", "0"]).envs(settings.iter().copied());
        Service::run(&mut command, self.folder.path())
    }

    pub(super) fn output(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("out")).unwrap()
    }

    /// Returns the hashes of all accounts.
    pub(super) fn hashes(&self) -> Vec<String> {
        const SQL: &str = "SELECT password FROM users";
        if let Some(server) = &self.server {
            return server.cluster.existing_database(&server.name).query(SQL);
        }
        let database = self.open();
        let mut statement = database.prepare(SQL).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Stores this text as the hash of the account.
    pub(super) fn store_as_hash(&self, email: &str, text: &str) {
        self.execute(&format!("UPDATE users SET password = '{text}' WHERE email = '{email}'"));
    }

    /// Returns everything that the database stores.
    pub(super) fn stored_bytes(&self) -> Vec<u8> {
        if let Some(server) = &self.server {
            return server.cluster.existing_database(&server.name).dump().into_bytes();
        }
        let data = self.folder.path().join("data");
        let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
        files.flat_map(|file| std::fs::read(file).unwrap()).collect()
    }

    pub(super) fn failures(&self) -> &'static [Failure] {
        match self.server {
            None => &[Failure::MissingTable, Failure::RejectedRow],
            Some(_) => &[Failure::MissingTable, Failure::ServerDown, Failure::RejectedRow],
        }
    }

    pub(super) fn start_failure(&self, failure: Failure) {
        match failure {
            Failure::MissingTable => self.execute("ALTER TABLE users RENAME TO hidden"),
            Failure::ServerDown => self.server.as_ref().unwrap().cluster.stop("immediate"),
            Failure::RejectedRow => self.execute(match self.server {
                None => REJECT_IN_SQLITE,
                Some(_) => REJECT_IN_POSTGRESQL,
            }),
        }
    }

    /// Repairs the store and waits until the service is ready.
    pub(super) fn end_failure(&self, failure: Failure, service: &Service) {
        match failure {
            Failure::MissingTable => self.execute("ALTER TABLE hidden RENAME TO users"),
            Failure::ServerDown => self.server.as_ref().unwrap().cluster.start_server(),
            Failure::RejectedRow => self.execute(match self.server {
                None => "DROP TRIGGER none; DROP TRIGGER no_other",
                Some(_) => "ALTER TABLE users DROP CONSTRAINT none",
            }),
        }
        for _ in 0..3000 {
            if service.get("/readyz").status == 200 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the service is not ready after {failure:?}: {}", service.stderr());
    }

    /// Checks that the log of PostgreSQL, with its default settings, has the failed statements but
    /// not their values.
    pub(super) fn assert_server_log_has_no_secret(&self, canaries: &Canaries, seed: &str) {
        if self.server.is_none() {
            return;
        }
        let log = self.server_log();
        let text = String::from_utf8_lossy(&log);
        assert!(text.contains("duplicate key") && text.contains("INSERT INTO users"), "{text}");
        canaries.assert_not_logged("PostgreSQL's log", &log, seed);
    }

    /// Returns the log of PostgreSQL.
    pub(super) fn server_log(&self) -> Vec<u8> {
        std::fs::read(self.server.as_ref().unwrap().cluster.folder().join("log")).unwrap()
    }

    /// Returns the URL of the same PostgreSQL database with another password.
    pub(super) fn url_with(&self, password: &Canary) -> String {
        self.server.as_ref().unwrap().url(password)
    }

    fn execute(&self, sql: &str) {
        match &self.server {
            Some(server) => server.cluster.execute(&server.name, sql),
            None => self.open().execute_batch(sql).unwrap(),
        }
    }

    fn open(&self) -> Connection {
        Connection::open(self.folder.path().join("data/posts.db")).unwrap()
    }
}

impl Server {
    fn start(password: &Canary) -> Self {
        let cluster = Cluster::start("");
        let role = format!("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '{}'", password.text);
        cluster.execute("postgres", &role);
        cluster.stop("fast");
        cluster.write("data/pg_hba.conf", ACCESS);
        cluster.start_server();
        let name = cluster.database().keep();
        Self { cluster, name }
    }

    fn url(&self, password: &Canary) -> String {
        let password = password.encoded().replace('+', "%20");
        let url = self.cluster.url(&self.name);
        url.replace("tester@", &format!("keeper:{password}@"))
    }
}
