//! PostgreSQL for the tests: temporary servers.
//!
//! All tests of the process share one server, and each has its own database. A test that stops or
//! breaks its server starts another. If the process is killed, a shell that waits for the end of a
//! pipe stops the server and removes its folder.

use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use post_api::clock::Clock as _;
use post_api::store::migrate::{SchemaAdmin as _, migrate};
use post_api::store::postgres::{Address, PostgresAdmin};

use super::TestClock;
use super::postgres_programs::{chown_to_server, find_programs, server_command, supervise};
use super::postgres_session::{Session, execute, on_own_thread, text};

/// The role of every test; it owns the cluster.
const USER: &str = "tester";

/// Faster; safe, because what a server has written survives its end, unless the machine crashes.
const WITHOUT_FSYNC: &str = "fsync = off\nfull_page_writes = off\n";

pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    /// How databases are copied, found out when the first is created.
    strategy: OnceLock<&'static str>,
    /// The database `ready`, created when its first copy is requested.
    template: OnceLock<()>,
    /// Creates and drops databases without a new connection each time.
    session: Mutex<Option<Box<Session>>>,
    /// Ends the server when its standard input is closed.
    _supervisor: Child,
}

impl Cluster {
    /// Returns the shared server. A test must not stop or reconfigure it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(""))
    }

    /// Starts another server with these lines in its configuration.
    pub fn start(configuration: &str) -> Self {
        let cluster = Self::new(find_programs());
        // A copy takes a tenth of the time of `initdb`.
        cluster.run("/bin/cp", |command| {
            command.args(["-a"]).arg(Self::initialized().folder.join("data")).arg("data");
        });
        cluster.configure(&format!(
            "listen_addresses = '127.0.0.1'\nmax_connections = 300\nshared_buffers = 64MB\n\
             unix_socket_directories = '{}'\nlogging_collector = off\n{WITHOUT_FSYNC}{configuration}",
            cluster.folder.display()
        ));
        cluster.start_server();
        cluster
    }

    /// Returns a cluster that is never started, for copies of its files.
    fn initialized() -> &'static Self {
        static INITIALIZED: OnceLock<Cluster> = OnceLock::new();
        INITIALIZED.get_or_init(|| {
            let cluster = Self::new(find_programs());
            cluster.run("initdb", |command| {
                command.args(["-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]);
                command.args(["--locale", "C.UTF-8"]);
            });
            cluster
        })
    }

    /// Prepares the folder and the port of a server, without a database.
    fn new(programs: PathBuf) -> Self {
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("posts-pg-").tempdir_in(folder_with_room()).unwrap().keep();
        chown_to_server(&folder);
        let supervisor = supervise(&programs, &folder);
        let port = free_port();
        Self {
            folder,
            programs,
            port,
            strategy: OnceLock::new(),
            template: OnceLock::new(),
            session: Mutex::default(),
            _supervisor: supervisor,
        }
    }

    /// Writes a file into the cluster's folder that only the server can read.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        chown_to_server(&path);
    }

    /// Appends lines to the configuration, effective from the next start.
    pub fn configure(&self, lines: &str) {
        use std::io::Write as _;
        let path = self.folder.join("data/postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// Starts the server after [`Cluster::stop`].
    pub fn start_server(&self) {
        let options = format!("-p {}", self.port);
        self.run("pg_ctl", |command| {
            command.args(["-D", "data", "-w", "-s", "-l", "log", "-o", &options, "start"]);
        });
    }

    /// Stops the server: `smart`, `fast`, or `immediate` (like a crash).
    pub fn stop(&self, mode: &str) {
        self.run("pg_ctl", |command| {
            command.args(["-D", "data", "-w", "-s", "-m", mode, "stop"]);
        });
    }

    /// Sends the signal to every process of the server (`-STOP`, `-CONT`).
    pub fn signal_all(&self, signal: &str) {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let server: u32 = text.lines().next().unwrap().parse().unwrap();
        let mut processes = children(server);
        processes.push(server);
        for process in processes {
            let _ = Command::new("kill").args([signal, &process.to_string()]).status();
        }
    }

    /// Starts a standby that replicates this server.
    pub fn standby(&self) -> Self {
        self.standby_through(&format!("127.0.0.1:{}", self.port))
    }

    /// Like [`Self::standby`], over another address (`127.0.0.1:PORT`).
    pub fn standby_through(&self, address: &str) -> Self {
        let standby = Self::new(self.programs.clone());
        let data = standby.folder.join("data");
        let url = format!("postgresql://{USER}@{address}/postgres");
        standby.run("pg_basebackup", |command| {
            command.args(["-R", "-c", "fast", "-X", "stream", "-d", &url, "-D"]).arg(&data);
        });
        standby.configure(&format!("unix_socket_directories = '{}'\n", standby.folder.display()));
        standby.start_server();
        standby
    }

    /// Promotes a standby to primary.
    pub fn promote(&self) {
        self.run("pg_ctl", |command| {
            command.args(["-D", "data", "-w", "-s", "promote"]);
        });
    }

    /// Returns the database of this name, which is not dropped.
    pub fn existing_database(&self, name: &str) -> PostgresDatabase<'_> {
        PostgresDatabase {
            url: self.url(name),
            cluster: self,
            name: name.to_owned(),
            dropped: false,
            is_schema: false,
            session: Mutex::default(),
        }
    }

    /// Creates an empty database.
    pub fn empty_database(&self) -> PostgresDatabase<'_> {
        self.create("")
    }

    /// Creates a database at the newest revision. If `CITUS_URL` names a database with Citus, creates a
    /// schema with distributed tables there instead.
    pub fn database(&self) -> PostgresDatabase<'_> {
        if let Ok(url) = std::env::var("CITUS_URL") {
            return self.distributed(&url);
        }
        self.template.get_or_init(|| {
            self.execute("postgres", "CREATE DATABASE ready");
            upgrade(&self.url("ready"));
        });
        self.copy_of("ready")
    }

    /// Creates a copy of the database, which must have no session.
    pub fn copy_of(&self, template: &str) -> PostgresDatabase<'_> {
        self.create(&format!(" TEMPLATE {template}"))
    }

    pub(super) fn create(&self, rest: &str) -> PostgresDatabase<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let strategy = self.strategy.get_or_init(|| self.find_strategy());
        self.administer(&format!("CREATE DATABASE {name}{rest}{strategy}"));
        let (url, session) = (self.url(&name), Mutex::default());
        PostgresDatabase { url, cluster: self, name, dropped: true, is_schema: false, session }
    }

    fn distributed(&self, url: &str) -> PostgresDatabase<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        execute(url, &format!("CREATE SCHEMA {name}"));
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}options=-c%20search_path%3D{name}");
        upgrade(&url);
        on_own_thread(async || {
            let mut admin = PostgresAdmin::connect(&Address::parse(&url).unwrap()).await.unwrap();
            assert!(admin.distribute(8).await.unwrap());
        });
        let session = Mutex::default();
        PostgresDatabase { url, cluster: self, name, dropped: true, is_schema: true, session }
    }

    /// Without the log, a copy takes a sixth of the time. PostgreSQL 14 knows no other way.
    fn find_strategy(&self) -> &'static str {
        let version = self.existing_database("postgres").query("SHOW server_version_num");
        if version[0].starts_with("14") { "" } else { " STRATEGY file_copy" }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn execute(&self, database: &str, sql: &str) {
        execute(&self.url(database), sql);
    }

    /// Runs the statement in the session for databases.
    fn administer(&self, sql: &str) {
        Session::query(&self.session, &self.url("postgres"), sql, |_| ());
    }

    /// Runs a program of PostgreSQL and returns its output.
    pub fn run(&self, program: &str, arguments: impl FnOnce(&mut Command)) -> String {
        let mut command = server_command(&self.folder, &self.programs.join(program));
        arguments(&mut command);
        // The server inherits the output of `pg_ctl`: a pipe would never end.
        let printed = tempfile::tempfile().unwrap();
        command.stdout(printed.try_clone().unwrap()).stderr(printed.try_clone().unwrap());
        let status = command.current_dir(&self.folder).status().unwrap();
        let text = read_from_start(printed);
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(status.success(), "{program}: {status}\n{text}\n{log}");
        text
    }
}

/// A database, dropped when the test ends if it was created for the test.
pub struct PostgresDatabase<'a> {
    cluster: &'a Cluster,
    name: String,
    url: String,
    dropped: bool,
    /// Whether it is a schema of another database, see [`Cluster::database`].
    is_schema: bool,
    /// Reads without a new connection each time. `execute` has a new one each time.
    session: Mutex<Option<Box<Session>>>,
}

impl PostgresDatabase<'_> {
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Keeps the database until its server stops, and returns its name.
    pub fn keep(mut self) -> String {
        self.dropped = false;
        self.name.clone()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> Address {
        Address::parse(&self.url).unwrap()
    }

    pub fn execute(&self, sql: &str) {
        execute(&self.url, sql);
    }

    /// Returns the first column of each row as text.
    pub fn query(&self, sql: &str) -> Vec<String> {
        Session::query(&self.session, &self.url, sql, |row| text(row, 0))
    }

    /// Returns the first two columns of each row as texts.
    pub fn query_pairs(&self, sql: &str) -> Vec<(String, String)> {
        Session::query(&self.session, &self.url, sql, |row| (text(row, 0), text(row, 1)))
    }

    /// Returns the database as a script, without the random lines of a dump.
    pub fn dump(&self) -> String {
        let text = self.cluster.run("pg_dump", |command| {
            command.args(["--no-owner", "--inserts", "--no-security-labels", &self.url]);
        });
        let is_random = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unr");
        text.lines().filter(is_random).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for PostgresDatabase<'_> {
    fn drop(&mut self) {
        // A failed test may have left the server frozen. The supervisor removes its files.
        if !self.dropped || std::thread::panicking() {
            return;
        }
        if self.is_schema {
            // Requests of the test can still be in progress.
            let drop = format!("DROP SCHEMA {} CASCADE", self.name);
            let drop = AssertUnwindSafe(|| execute(&self.url, &drop));
            let _ = std::panic::catch_unwind(drop);
            return;
        }
        // The test may have stopped its server.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let drop = AssertUnwindSafe(|| self.cluster.administer(&drop));
        let _ = std::panic::catch_unwind(drop);
    }
}

/// Returns the folder for the files of servers: in memory if there is room, because a database has
/// 300 files, and creating a file on a disk takes long. A long stress test writes too much for it.
fn folder_with_room() -> PathBuf {
    const ROOM: u64 = 4 << 30;
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail * found.f_frsize);
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    let needs_disk = ["TMPDIR", "STRESS_SECONDS"].iter().any(is_set);
    if needs_disk || free < ROOM { std::env::temp_dir() } else { memory.to_owned() }
}

/// Migrates the database to the newest revision.
pub fn upgrade(url: &str) {
    on_own_thread(async || {
        let mut admin = PostgresAdmin::connect(&Address::parse(url).unwrap()).await.unwrap();
        let head = admin.migrations().len();
        migrate(&mut admin, head, TestClock::default().now(), |_| {}).await.unwrap();
    });
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn children(parent: u32) -> Vec<u32> {
    let text = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    text.split_whitespace().map(|process| process.parse().unwrap()).collect()
}

fn read_from_start(mut file: std::fs::File) -> String {
    use std::io::{Read as _, Seek as _};
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
