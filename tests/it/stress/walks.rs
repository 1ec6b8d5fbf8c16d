//! Readers walk through the lists while others create, delete, vote and unpublish: every post that
//! exists and stays visible during the whole walk comes exactly once. Random lists are compared with
//! the sorted list.

use crate::store::fresh_store::{FreshStore, postgres, sqlite};
use crate::store::paging::{WALKS_PER_READER, assert_random_pages, assert_walks};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;

#[tokio::test]
async fn walks_are_complete_on_sqlite() {
    run(async || sqlite().await, Budget::new("walks, embedded", 1)).await;
}

#[tokio::test]
async fn walks_are_complete_on_postgresql() {
    run(async || postgres().await, Budget::new("walks, PostgreSQL", 1)).await;
}

async fn run(open: impl AsyncFn() -> FreshStore, mut budget: Budget) {
    let lasting = budget.size(60, 10_000);
    let (clients, lists) = (budget.size(2, 16), budget.size(100, 2000));
    let (mut walked, mut compared) = (0, 0);
    while let Some(seed) = budget.next_round() {
        assert_walks(&open().await, lasting, clients, clients).await;
        assert_random_pages(&open().await, &mut Rng::new(seed), lists).await;
        walked += WALKS_PER_READER * clients;
        compared += lists;
    }
    budget.report("complete walks during writes", walked);
    budget.report("lists compared with the sorted list", compared);
}
