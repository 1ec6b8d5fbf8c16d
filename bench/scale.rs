//! What a request costs with a million posts and ten million votes in the embedded store, against
//! the same request with a thousand posts: `cargo bench --bench scale`.
//!
//! Both databases are served by the whole service in this process, and both are asked in turn in
//! many short rounds: what the machine does meanwhile happens to both, so that the ratio of a
//! round says more than its times. The table on standard output has the median ratio of each
//! operation with the smallest and the largest.

#[path = "scale/measure.rs"]
mod measure;
#[path = "scale/operations.rs"]
mod operations;
#[path = "scale/rng.rs"]
mod rng;
#[path = "scale/seed.rs"]
mod seed;
#[path = "scale/service.rs"]
mod service;
#[path = "scale/table.rs"]
mod table;

use std::path::{Path, PathBuf};

use clap::Parser;

use self::seed::Size;
use self::service::Service;

/// Posts in the small database: what the large one is held against.
const SMALL: i64 = 1000;

#[derive(Parser)]
#[command(about = "Compares the cost of requests on a large and on a small database")]
struct Options {
    /// Posts in the large database
    #[arg(long, default_value_t = 1_000_000)]
    posts: i64,
    /// Votes on each post, in both databases
    #[arg(long, default_value_t = 10)]
    votes_per_post: i64,
    /// Times that each operation is measured on both
    #[arg(long, default_value_t = 31)]
    rounds: u32,
    /// Keeps the seeded databases here, and takes those that are there already
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Only operations whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
fn main() {
    let options = Options::parse();
    let passing = tempfile::TempDir::new().unwrap();
    let folder = options.folder.as_deref().unwrap_or(passing.path());
    std::fs::create_dir_all(folder).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let votes = options.votes_per_post;
        let small = seed::database(folder, Size { posts: SMALL, votes }).await;
        let large = seed::database(folder, Size { posts: options.posts, votes }).await;
        warm(&small);
        warm(&large);
        let small = Service::start(&small, SMALL);
        let large = Service::start(&large, options.posts);
        let results = measure::all(&small, &large, options.rounds, &options.only).await;
        table::print(&results, &small, &large);
    });
}

/// Reads the file once: what the kernel no longer holds of a database that was kept would be measured
/// as the cost of its size.
#[expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
fn warm(database: &Path) {
    let mut file = std::fs::File::open(database).unwrap();
    std::io::copy(&mut file, &mut std::io::sink()).unwrap();
}
