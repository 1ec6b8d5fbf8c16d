//! Tests of a batcher whose batch follows a script and records its requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Batch, BatchError, BatchLimits, Batcher};
use crate::store::{Result, StoreError};

const LIMITS: BatchLimits = BatchLimits { queue: 8, batch: 4, timeout: Duration::from_secs(10) };

/// The effect of a request on its batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Request {
    /// Succeeds, with its number as the answer.
    Number(u32),
    /// Makes the whole batch roll back.
    Poison,
    /// Breaks the connection, so the outcome of the batch is unknown.
    Break,
    Panic,
    /// Makes the batch return no answers.
    LoseAnswers,
    /// Fails by itself, without effect on the others.
    Reject,
}
use Request::{Break, LoseAnswers, Number, Panic, Poison, Reject};

struct ScriptedBatch {
    /// Each batch takes a permit before it runs.
    permits: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Vec<Request>>>>,
}

#[async_trait]
impl Batch for ScriptedBatch {
    type Request = Request;
    type Answer = u32;

    async fn run(
        &self,
        requests: &[&Request],
    ) -> std::result::Result<Vec<Result<u32>>, BatchError> {
        self.batches.lock().unwrap().push(requests.iter().map(|request| **request).collect());
        self.permits.acquire().await.unwrap().forget();
        for request in requests {
            match request {
                Poison => return Err(BatchError::RolledBack(StoreError::internal("poison"))),
                Break => return Err(BatchError::Final(StoreError::unavailable("broken"))),
                Panic => panic!("on purpose"),
                LoseAnswers => return Ok(Vec::new()),
                Number(_) | Reject => {}
            }
        }
        Ok(requests.iter().map(|request| answer(**request)).collect())
    }
}

fn answer(request: Request) -> Result<u32> {
    if let Number(number) = request { Ok(number) } else { Err(StoreError::CallerRejected) }
}

struct Fixture {
    batcher: Arc<Batcher<ScriptedBatch>>,
    permits: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Vec<Request>>>>,
}

impl Fixture {
    /// Returns a batcher whose first batch, `Number(0)`, is in flight, so that further requests
    /// wait.
    async fn busy(limits: BatchLimits) -> Self {
        let (permits, batches) = (Arc::new(Semaphore::new(0)), Arc::default());
        let batch = ScriptedBatch { permits: Arc::clone(&permits), batches: Arc::clone(&batches) };
        let fixture = Self { batcher: Arc::new(Batcher::open(batch, limits)), permits, batches };
        fixture.submit(&[Number(0)]).await;
        assert_eq!(fixture.batches(), [vec![Number(0)]]);
        fixture
    }

    /// Submits the requests in this order, and lets every task run as far as it can.
    async fn submit(&self, requests: &[Request]) -> Vec<JoinHandle<Result<u32>>> {
        let submit = |request: &Request| {
            let (batcher, request) = (Arc::clone(&self.batcher), *request);
            tokio::spawn(async move { batcher.submit(request).await })
        };
        let submitted = requests.iter().map(submit).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        submitted
    }

    /// Returns the batches that have started after the first one.
    fn later_batches(&self) -> Vec<Vec<Request>> {
        self.batches()[1..].to_vec()
    }

    fn batches(&self) -> Vec<Vec<Request>> {
        self.batches.lock().unwrap().clone()
    }

    /// Lets every batch run, and returns the outcome of each request.
    async fn finish(&self, submitted: Vec<JoinHandle<Result<u32>>>) -> Vec<String> {
        self.permits.add_permits(1000);
        let mut outcomes = Vec::new();
        for request in submitted {
            outcomes.push(match request.await.unwrap() {
                Ok(number) => number.to_string(),
                Err(StoreError::CallerRejected) => "rejected".to_owned(),
                Err(StoreError::Overloaded) => "overloaded".to_owned(),
                Err(StoreError::Unavailable(_)) => "unavailable".to_owned(),
                Err(StoreError::Internal(_) | StoreError::Referenced(_)) => "internal".to_owned(),
                Err(StoreError::Unrepresentable(_)) => "unrepresentable".to_owned(),
            });
        }
        outcomes
    }
}

#[tokio::test]
async fn single_request_runs_without_waiting_for_others() {
    let fixture = Fixture::busy(LIMITS).await;
    assert!(fixture.later_batches().is_empty());
}

#[tokio::test]
async fn dropped_batcher_ends_its_task_and_drops_the_batch() {
    let Fixture { batcher, permits, batches } = Fixture::busy(LIMITS).await;
    permits.add_permits(1);
    drop((batcher, permits));
    let ends = async {
        while Arc::strong_count(&batches) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ends).await.unwrap();
}

#[tokio::test]
async fn single_request_that_rolls_back_is_not_retried() {
    let fixture = Fixture::busy(LIMITS).await;
    let submitted = fixture.submit(&[Poison]).await;
    assert_eq!(fixture.finish(submitted).await, ["internal"]);
    assert_eq!(fixture.later_batches(), [vec![Poison]]);
}

#[tokio::test]
async fn waiting_requests_run_together_and_in_order() {
    let fixture = Fixture::busy(LIMITS).await;
    let submitted = fixture.submit(&[Number(1), Reject, Number(3)]).await;
    assert!(fixture.later_batches().is_empty(), "they joined the batch in flight");
    assert_eq!(fixture.finish(submitted).await, ["1", "rejected", "3"]);
    assert_eq!(fixture.later_batches(), [[Number(1), Reject, Number(3)]]);
}

#[tokio::test]
async fn batch_size_is_limited_and_requests_run_first_in_first_out() {
    let fixture = Fixture::busy(LIMITS).await;
    let numbers: Vec<Request> = (1..=6).map(Number).collect();
    let submitted = fixture.submit(&numbers).await;
    assert_eq!(fixture.finish(submitted).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(fixture.later_batches(), [&numbers[..4], &numbers[4..]]);
}

#[tokio::test]
async fn request_to_a_full_queue_is_refused_at_once() {
    let fixture = Fixture::busy(LIMITS).await;
    let numbers: Vec<Request> = (1..=9).map(Number).collect();
    let submitted = fixture.submit(&numbers).await;
    assert!(submitted[8].is_finished());
    let outcomes = fixture.finish(submitted).await;
    assert_eq!(outcomes[7..], ["8", "overloaded"]);
}

#[tokio::test]
async fn request_that_rolls_back_its_batch_fails_only_itself() {
    let fixture = Fixture::busy(LIMITS).await;
    let submitted = fixture.submit(&[Number(1), Poison, Number(3)]).await;
    assert_eq!(fixture.finish(submitted).await, ["1", "internal", "3"]);
    let one_by_one = [vec![Number(1)], vec![Poison], vec![Number(3)]];
    assert_eq!(fixture.later_batches()[1..], one_by_one);
}

#[tokio::test]
async fn batch_with_unknown_outcome_is_not_retried() {
    let fixture = Fixture::busy(LIMITS).await;
    let submitted = fixture.submit(&[Number(1), Break, Number(3)]).await;
    assert_eq!(fixture.finish(submitted).await, ["unavailable"; 3]);
    assert_eq!(fixture.later_batches().len(), 1);
    let submitted = fixture.submit(&[Number(4)]).await;
    assert_eq!(fixture.finish(submitted).await, ["4"], "the batcher continues");
}

#[tokio::test]
async fn connection_that_breaks_during_single_retries_refuses_the_rest() {
    let fixture = Fixture::busy(LIMITS).await;
    let submitted = fixture.submit(&[Number(1), Poison, Break, Number(4)]).await;
    let outcomes = fixture.finish(submitted).await;
    assert_eq!(outcomes, ["1", "internal", "unavailable", "unavailable"]);
    assert_eq!(fixture.later_batches().len(), 4);
}

#[tokio::test]
async fn panic_or_lost_answers_fail_only_their_batch() {
    let fixture = Fixture::busy(LIMITS).await;
    for failure in [Panic, LoseAnswers] {
        let submitted = fixture.submit(&[Number(1), failure]).await;
        assert_eq!(fixture.finish(submitted).await, ["internal"; 2], "{failure:?}");
        let submitted = fixture.submit(&[Number(2)]).await;
        assert_eq!(fixture.finish(submitted).await, ["2"], "{failure:?}");
    }
}

#[tokio::test]
async fn request_dropped_before_its_batch_does_not_run() {
    let fixture = Fixture::busy(LIMITS).await;
    let mut submitted = fixture.submit(&[Number(1), Number(2)]).await;
    submitted.remove(0).abort();
    fixture.submit(&[]).await;
    assert_eq!(fixture.finish(submitted).await, ["2"]);
    assert_eq!(fixture.later_batches(), [[Number(2)]]);
}

#[tokio::test]
async fn request_dropped_during_its_batch_does_not_delay_the_others() {
    let fixture = Fixture::busy(LIMITS).await;
    fixture.permits.add_permits(1);
    let mut submitted = fixture.submit(&[Number(1), Number(2)]).await;
    assert_eq!(fixture.later_batches(), [[Number(1), Number(2)]]);
    submitted.remove(0).abort();
    assert_eq!(fixture.finish(submitted).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn request_that_times_out_before_its_batch_does_not_run() {
    let fixture = Fixture::busy(LIMITS).await;
    let mut submitted = fixture.submit(&[Number(1), Number(2)]).await;
    assert!(matches!(submitted.remove(0).await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(fixture.finish(submitted).await, ["unavailable"]);
    let submitted = fixture.submit(&[Number(3)]).await;
    assert_eq!(fixture.finish(submitted).await, ["3"]);
    assert_eq!(fixture.later_batches(), [[Number(3)]]);
}

#[tokio::test]
async fn dropped_batcher_answers_waiting_requests() {
    let fixture = Fixture::busy(LIMITS).await;
    let submitted = fixture.submit(&[Number(1)]).await;
    let Fixture { batcher, permits, batches } = fixture;
    drop(batcher);
    permits.add_permits(10);
    for request in submitted {
        assert_eq!(request.await.unwrap().unwrap(), 1);
    }
    assert_eq!(batches.lock().unwrap().len(), 2);
}
