//! Three nodes with PostgreSQL and Patroni, etcd for them, and `HAProxy` before them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::request;
use super::programs::Programs;
use crate::support::find_programs;

pub(super) const NODES: usize = 3;

/// The shortest time after which Patroni gives a lost leader's place to another node.
const TTL: u64 = 20;

/// The time for everything that a cluster does by itself, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(3);

/// The role that owns the cluster.
const USER: &str = "tester";

pub(super) struct Patroni {
    programs: Programs,
    etcd: u16,
    /// The ports of Patroni and of PostgreSQL.
    nodes: [(u16, u16); NODES],
    proxy: u16,
}

impl Patroni {
    /// Starts everything, and waits until both standbys replicate.
    pub(super) fn start() -> Self {
        let programs = Programs::new();
        let cluster = Self {
            etcd: free_port(),
            nodes: std::array::from_fn(|_| (free_port(), free_port())),
            proxy: free_port(),
            programs,
        };
        cluster.copy_packages();
        cluster.programs.write("etcd", "name", "");
        cluster.start_etcd();
        for node in 0..NODES {
            let configuration = cluster.node_configuration(node).to_string();
            cluster.programs.write(&name(node), "patroni.json", &configuration);
            cluster.start_node(node);
        }
        cluster.programs.write("proxy", "haproxy.cfg", &cluster.proxy_configuration());
        cluster.programs.start("proxy", Path::new("haproxy"), |command| {
            command.args(["-f", "haproxy.cfg"]);
        });
        cluster.settle();
        cluster
    }

    /// Returns a URL with the hosts in this order.
    pub(super) fn url(&self, order: [usize; NODES]) -> String {
        let hosts = order.map(|node| format!("127.0.0.1:{}", self.nodes[node].1)).join(",");
        format!("postgresql://{USER}@{hosts}/postgres")
    }

    /// Returns a URL with the address of `HAProxy`.
    pub(super) fn proxy_url(&self) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/postgres", self.proxy)
    }

    /// Returns the URL of one node.
    pub(super) fn node_url(&self, node: usize) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/postgres", self.nodes[node].1)
    }

    /// Returns the port of each Patroni, and the file that describes the PostgreSQL of its node.
    pub(super) fn watched(&self) -> [(u16, PathBuf); NODES] {
        std::array::from_fn(|node| {
            let folder = self.programs.folder().join(name(node));
            (self.nodes[node].0, folder.join("data/postmaster.pid"))
        })
    }

    pub(super) fn start_etcd(&self) {
        let client = format!("http://127.0.0.1:{}", self.etcd);
        self.programs.start("etcd", Path::new("etcd"), |command| {
            command.args([
                "--data-dir",
                "data",
                "--unsafe-no-fsync",
                "--listen-client-urls",
                &client,
            ]);
            command.args(["--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", "http://127.0.0.1:0"]);
        });
    }

    pub(super) fn kill_etcd(&self) {
        self.programs.kill("etcd");
    }

    /// Starts Patroni, which starts PostgreSQL.
    pub(super) fn start_node(&self, node: usize) {
        let packages = self.programs.folder().join("packages");
        self.programs.start(&name(node), &python(), |command| {
            command.args(["-m", "patroni", "patroni.json"]).env("PYTHONPATH", packages);
        });
    }

    /// Ends PostgreSQL and Patroni, as a power cut does.
    pub(super) fn kill_node(&self, node: usize) {
        self.programs.kill(&name(node));
    }

    /// Ends all processes of PostgreSQL. Patroni may start it again before this returns.
    pub(super) fn kill_server(&self, node: usize) {
        self.programs.signal("-KILL", &format!("{}/data", name(node)));
    }

    /// Ends Patroni. PostgreSQL continues.
    pub(super) fn kill_manager(&self, node: usize) {
        let process = self.programs.started(&name(node));
        let killed = Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Stops all processes of the node, as a hypervisor does that pauses it.
    pub(super) fn freeze(&self, node: usize) {
        self.programs.signal("-STOP", &name(node));
    }

    pub(super) fn thaw(&self, node: usize) {
        self.programs.signal("-CONT", &name(node));
    }

    /// Moves the primary to the synchronous standby, as planned work does.
    pub(super) fn switch_over(&self) {
        let (leader, standby) = (self.settle(), self.member_with("sync_standby").unwrap());
        let body = json!({"leader": name(leader), "candidate": name(standby)}).to_string();
        let (rest, _) = self.nodes[leader];
        let (status, text) = request(rest, "POST", "/switchover", &body, PATIENCE).unwrap();
        assert_eq!(status, 200, "{text}");
    }

    /// Waits until one node is the leader, and the others replicate its timeline. Returns the leader.
    pub(super) fn settle(&self) -> usize {
        wait_until("both standbys replicate", || self.is_settled());
        self.member_with("leader").unwrap()
    }

    /// How often Patroni has let the leader continue without etcd.
    pub(super) fn failsafe_rounds(&self, node: usize) -> usize {
        self.programs.log(&name(node)).matches("failsafe mode is enabled").count()
    }

    /// How many rounds are longer than the time after which a lost leader is replaced.
    pub(super) fn rounds_of_ttl() -> usize {
        usize::try_from(TTL / 5 + 2).unwrap()
    }

    fn is_settled(&self) -> bool {
        let members = self.members();
        let is_in = |role: &str, state: &str| {
            members
                .iter()
                .filter(|member| member["role"] == role && member["state"] == state)
                .count()
        };
        let same_timeline =
            members.iter().all(|member| member["timeline"] == members[0]["timeline"]);
        members.len() == NODES
            && is_in("leader", "running") == 1
            && is_in("sync_standby", "streaming") == 1
            && is_in("replica", "streaming") == 1
            && same_timeline
    }

    fn member_with(&self, role: &str) -> Option<usize> {
        let members = self.members();
        let found = members.iter().find(|member| member["role"] == role)?;
        (0..NODES).find(|node| found["name"] == name(*node))
    }

    /// Returns the members as the first node with an answer sees them.
    fn members(&self) -> Vec<Value> {
        let timeout = Duration::from_secs(2);
        let answers = self.nodes.iter().filter_map(|(rest, _)| {
            let (_, text) = request(*rest, "GET", "/cluster", "", timeout).ok()?;
            let cluster: Value = serde_json::from_str(&text).ok()?;
            cluster["members"].as_array().cloned()
        });
        answers.into_iter().next().unwrap_or_default()
    }

    /// Copies Patroni to where PostgreSQL's user can read it.
    fn copy_packages(&self) {
        let packages =
            std::env::var_os("PATRONI").expect("PATRONI names no folder: run scripts/stress");
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(packages).arg(self.programs.folder().join("packages"));
        assert!(copy.status().unwrap().success());
    }

    fn node_configuration(&self, node: usize) -> Value {
        let (rest, port) = self.nodes[node];
        let folder = self.programs.folder().join(name(node));
        let listen = |port: u16| format!("127.0.0.1:{port}");
        let role = json!({"username": USER, "password": "any"});
        let parameters = json!({
            "max_connections": 200, "wal_log_hints": "on", "shared_buffers": "32MB", "fsync": "off",
        });
        json!({
            "scope": "posts",
            "name": name(node),
            "restapi": {"listen": listen(rest), "connect_address": listen(rest)},
            "etcd3": {"host": listen(self.etcd)},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL, "loop_wait": 5, "retry_timeout": 5,
                    "synchronous_mode": true, "failsafe_mode": true,
                    "postgresql": {"use_pg_rewind": true, "parameters": parameters},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "no-sync"],
            },
            "postgresql": {
                "listen": listen(port), "connect_address": listen(port),
                "data_dir": folder.join("data"), "bin_dir": find_programs(),
                "pgpass": folder.join("pgpass"),
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust",
                           "host replication all 127.0.0.1/32 trust"],
                "authentication": {"superuser": role, "replication": role},
                "parameters": {"unix_socket_directories": folder},
            },
        })
    }

    /// The options that Patroni's documentation names, with shorter checks.
    fn proxy_configuration(&self) -> String {
        let mut text = format!(
            "defaults\n mode tcp\n retries 0\n timeout connect 2s\n timeout client 1h\n timeout server 1h\n \
             timeout check 1s\nlisten primary\n bind 127.0.0.1:{}\n option httpchk OPTIONS /primary\n \
             http-check expect status 200\n \
             default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions\n",
            self.proxy
        );
        for (node, (rest, port)) in self.nodes.iter().enumerate() {
            let line = format!(" server {} 127.0.0.1:{port} check port {rest}\n", name(node));
            text.push_str(&line);
        }
        text
    }
}

fn name(node: usize) -> String {
    format!("node{node}")
}

/// Returns the interpreter for which the folder in PATRONI was filled.
fn python() -> PathBuf {
    std::env::var_os("PATRONI_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// Returns a free port below those that the kernel gives to outgoing connections: they would keep a
/// node from starting again.
fn free_port() -> u16 {
    loop {
        let port = 16_384 + u16::try_from(getrandom::u64().unwrap() % 16_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until the condition is met.
#[track_caller]
pub(super) fn wait_until(condition: &str, mut is_met: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_met() {
        assert!(Instant::now() < end, "timeout: {condition}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
