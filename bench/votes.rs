//! Durable votes a second over HTTP, on PostgreSQL, beside those of pgbench on the same server with
//! the single-statement form of the same SQL: `bench/votes` makes the server and runs this.
//!
//! Both vote at random, up or down, for one of 100,000 users: on one post, or on one of 10,000.
//! Whoever has voted the same way changes nothing, on either side. They run in turn, in short
//! rounds on one database, so that what the machine does meanwhile happens to both; the ratio of a
//! round says more than its numbers. Service, load and server share the cores.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use post_api::api::{self, openapi};
use post_api::auth::{Algorithm, Passwords, Strength, Tokens};
use post_api::clock::{Clock as _, SystemClock};
use post_api::domain::policy::Policy;
use post_api::domain::user::UserId;
use post_api::http::{self, App, LargeAnswers, LargeBodies, Limits, Origins, Pages, Shell};
use post_api::store::migrate::{Admin as _, migrate};
use post_api::store::postgres::{Address, PostgresAdmin, PostgresStore, connect};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

const USERS: u64 = 100_000;
const POSTS: u64 = 10_000;

const SEED: &str = "
    INSERT INTO users (email, password)
    SELECT format('user%s@example.com', n), 'a hash' FROM generate_series(1, 100000) AS n;
    INSERT INTO posts (title, content, owner_id)
    SELECT 'Post ' || n, 'text', n FROM generate_series(1, 10000) AS n;";

/// What pgbench runs: one vote, one statement, one commit.
const SCRIPT: &str = "
\\set user random(1, 100000)
\\set post random(1, POSTS)
\\set dir 2 * random(0, 1) - 1
INSERT INTO votes (post_id, user_id, dir) VALUES (:post, :user, :dir)
ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir WHERE votes.dir <> excluded.dir;
";

#[derive(Parser)]
#[command(about = "Compares votes over HTTP with pgbench's")]
struct Options {
    #[arg(long)]
    database_url: String,
    #[arg(long)]
    pgbench: String,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of each side in a round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(compare(&options));
}

async fn compare(options: &Options) {
    let address = Address::parse(&options.database_url).unwrap();
    let mut admin = PostgresAdmin::connect(&address).await.unwrap();
    let head = admin.migrations().len();
    migrate(&mut admin, head, SystemClock.now(), |_| {}).await.unwrap();
    let client = connect(&address).await.unwrap();
    client.batch_execute(SEED).await.unwrap();
    client.batch_execute("VACUUM ANALYZE").await.unwrap();

    let service = Service::start(&address);
    println!(
        "| votes on | HTTP/s | pgbench/s | ratio | min..max |\n| --- | ---: | ---: | ---: | ---: |"
    );
    for (name, posts) in [("one hot post", 1), ("10,000 posts", POSTS)] {
        let mut rounds = Vec::new();
        for round in 0..=options.rounds {
            let over_http = service.vote(posts, options).await;
            let by_pgbench = run_pgbench(posts, options);
            // The first warms both.
            if round > 0 {
                rounds.push((over_http, by_pgbench));
            }
        }
        let ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
        let (ours, theirs): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
        let bounds = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), ratio| {
            (least.min(*ratio), most.max(*ratio))
        });
        println!(
            "| {name} | {:.0} | {:.0} | {:.1} | {:.1}..{:.1} |",
            median(ours),
            median(theirs),
            median(ratios),
            bounds.0,
            bounds.1
        );
    }
    let wrong = admin.wrong_counts().await.unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    *numbers.get(numbers.len() / 2).unwrap()
}

struct Service {
    address: std::net::SocketAddr,
    tokens: Arc<Vec<String>>,
}

impl Service {
    /// As `post-api serve` does, in this process.
    fn start(database: &Address) -> Self {
        let clock = Arc::new(SystemClock);
        let secret = SecretString::from("for measurements only: 0123456789abcdefghijklmnopqrstuv");
        let lifetime = Duration::from_hours(24);
        let issuer = || Tokens::new(&secret, Algorithm::HS256, lifetime, clock.clone()).unwrap();
        let tokens = issuer();
        let tokens = (1..=USERS).map(|user| tokens.issue(UserId(user.cast_signed())).unwrap());
        let tokens = Arc::new(tokens.collect());
        let strength = Strength { memory_kib: 8, iterations: 1, parallelism: 1 };
        let app = App {
            store: Arc::new(PostgresStore::open(database).unwrap()),
            passwords: Passwords::new(strength, std::num::NonZeroUsize::MIN).unwrap(),
            tokens: issuer(),
            clock,
            policy: Policy::default(),
            pages: Pages::new(openapi::document(""), "", openapi::TITLE).unwrap(),
            large_answers: LargeAnswers::default(),
            root_path: String::new(),
        };
        let shell = Shell {
            origins: Origins::Any,
            access_log: false,
            large_bodies: LargeBodies::default(),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let routes = api::routes(app, shell, false);
        tokio::spawn(http::serve(listener, routes, Limits::default(), std::future::pending()));
        Self { address, tokens }
    }

    /// Votes a second, each answered after its commit.
    async fn vote(&self, posts: u64, options: &Options) -> f64 {
        let end = Instant::now() + Duration::from_secs(options.seconds);
        let began = Instant::now();
        let clients: Vec<_> = (0..options.connections)
            .map(|_| tokio::spawn(vote_until(end, self.address, Arc::clone(&self.tokens), posts)))
            .collect();
        let mut votes = 0;
        for client in clients {
            votes += client.await.unwrap();
        }
        f64::from(votes) / began.elapsed().as_secs_f64()
    }
}

async fn vote_until(
    end: Instant,
    address: std::net::SocketAddr,
    tokens: Arc<Vec<String>>,
    posts: u64,
) -> u32 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut votes = 0;
    while Instant::now() < end {
        let token = tokens.get(usize::try_from(below(USERS)).unwrap()).unwrap();
        let dir = if below(2) == 0 { 1 } else { -1 };
        let body = format!("{{\"post_id\":{},\"dir\":{dir}}}", 1 + below(posts));
        let request = format!(
            "POST /vote HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let status = read_answer(&mut stream).await;
        assert!([201, 409].contains(&status), "{status}");
        votes += 1;
    }
    votes
}

/// The status of an answer that is read to its end.
async fn read_answer(stream: &mut TcpStream) -> u16 {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "the service hung up");
        let text = std::str::from_utf8(&buffer).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

fn below(bound: u64) -> u64 {
    getrandom::u64().unwrap() % bound
}

/// Votes a second, each with a commit of its own.
fn run_pgbench(posts: u64, options: &Options) -> f64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SCRIPT.replace("POSTS", &posts.to_string())).unwrap();
    let connections = options.connections.to_string();
    let output = Command::new(&options.pgbench)
        .args(["-n", "-M", "prepared", "-j", "2", "-c", &connections])
        .args(["-T", &options.seconds.to_string(), "-f"])
        .arg(file.path())
        .arg(&options.database_url)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{said}");
    let line = text.split("tps = ").nth(1).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}
