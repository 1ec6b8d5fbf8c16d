//! `PgBouncer` in front of a temporary PostgreSQL server, on a Unix socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use post_api::store::postgres::{Address, connect};
use tempfile::TempDir;

use super::Cluster;
use super::postgres_programs::{chown_to_server, server_command};

/// A pooler that connects as the role of the tests.
pub struct Pooler {
    folder: TempDir,
    lines: String,
    /// Ends the pooler when its standard input is closed.
    _supervisor: Child,
}

impl Pooler {
    /// Starts a pooler with these lines in its configuration and the defaults of `PgBouncer`, among
    /// them the session mode, and waits until it serves the database.
    pub async fn start(cluster: &Cluster, lines: &str, database: &str) -> Self {
        let folder = TempDir::with_prefix("posts-pgbouncer-").unwrap();
        chown_to_server(folder.path());
        let file = configure(folder.path(), lines, cluster);
        let supervisor = supervise(folder.path(), &file);
        let pooler = Self { folder, lines: lines.to_owned(), _supervisor: supervisor };
        // An address without session settings, so that no server connection keeps them.
        let address = Address::parse(&pooler.url(database)).unwrap().with_prepared(false);
        for _ in 0..1500 {
            if connect(&address).await.is_ok() {
                return pooler;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("PgBouncer did not start: is it installed?");
    }

    /// Sends all later transactions to this server. Connections of clients stay open.
    pub async fn move_to(&self, cluster: &Cluster) {
        configure(self.folder.path(), &self.lines, cluster);
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(6432).user("tester").dbname("pgbouncer");
        let (console, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        console.simple_query("RELOAD").await.unwrap();
        drop(console);
        connection.await.unwrap().unwrap();
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgresql://tester@/{database}?host={}&port=6432", self.folder.path().display())
    }
}

/// Writes the configuration, and returns its path.
fn configure(folder: &Path, lines: &str, cluster: &Cluster) -> PathBuf {
    let file = folder.join("pgbouncer.ini");
    let configuration = format!(
        "[databases]\n* = host=127.0.0.1 port={} user=tester\n[pgbouncer]\n\
         unix_socket_dir = {}\nauth_type = any\nadmin_users = tester\n{lines}",
        cluster.port(),
        folder.display()
    );
    std::fs::write(&file, configuration).unwrap();
    chown_to_server(&file);
    file
}

/// Starts a shell that ends the pooler when this process ends.
fn supervise(folder: &Path, file: &Path) -> Child {
    const SCRIPT: &str = r#""$@" & pooler=$!; read -r _; kill "$pooler"; wait"#;
    let program = if Path::new("/usr/sbin/pgbouncer").exists() {
        Path::new("/usr/sbin/pgbouncer")
    } else {
        Path::new("pgbouncer")
    };
    let pooler = server_command(folder, program);
    Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(pooler.get_program())
        .args(pooler.get_args())
        .arg("-q")
        .arg(file)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
