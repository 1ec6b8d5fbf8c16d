//! Compares the time of a request to the embedded store with 1,000,000 posts and 10,000,000 votes
//! with the time of the same request with 1,000 posts: `cargo bench --bench scale`.
//!
//! This process runs the whole service on both databases and measures them alternately in many
//! short rounds. Other load on the machine then affects both, so the ratio of a round is more
//! reliable than its times. The table on standard output has the median, smallest and largest ratio
//! of each operation.

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
#[path = "scale/start.rs"]
mod start;
#[path = "scale/table.rs"]
mod table;

use std::path::{Path, PathBuf};

use clap::Parser;

use self::seed::Size;
use self::service::Service;

/// Posts in the small database.
const SMALL_POSTS: i64 = 1000;

#[derive(Parser)]
#[command(about = "Compare the time of requests on a large and on a small database")]
struct Options {
    /// Posts in the large database
    #[arg(long, default_value_t = 1_000_000)]
    posts: i64,
    /// Votes on each post, in both databases
    #[arg(long, default_value_t = 10)]
    votes_per_post: i64,
    /// Rounds in which each operation is measured on both databases
    #[arg(long, default_value_t = 31)]
    rounds: u32,
    /// Folder to keep the filled databases in; existing ones are reused
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure only operations whose name contains this text
    #[arg(long, default_value = "")]
    only: String,
    /// Ignored: cargo passes this flag to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]
fn main() {
    let options = Options::parse();
    let temporary = tempfile::TempDir::new().unwrap();
    let folder = options.folder.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let votes = options.votes_per_post;
        let small = seed::database(folder, Size { posts: SMALL_POSTS, votes }).await;
        let large = seed::database(folder, Size { posts: options.posts, votes }).await;
        warm_page_cache(&small);
        warm_page_cache(&large);
        let start = start::NAME.contains(&options.only);
        let start = start.then(|| start::measure(&small, &large, options.rounds));
        let small = Service::start(&small, SMALL_POSTS);
        let large = Service::start(&large, options.posts);
        let mut results = measure::measure_all(&small, &large, options.rounds, &options.only).await;
        results.extend(start);
        table::print(&results, &small, &large);
    });
}

/// Reads the file once. Otherwise pages of a reused database that are not in the kernel's page
/// cache would look like a cost of its size.
#[expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]
fn warm_page_cache(database: &Path) {
    let mut file = std::fs::File::open(database).unwrap();
    std::io::copy(&mut file, &mut std::io::sink()).unwrap();
}
