//! Lanes over a batch that does as it is told and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Batch, Bounds, Failure, Lane};
use crate::store::{Result, StoreError};

const BOUNDS: Bounds = Bounds { queue: 8, members: 4, patience: Duration::from_secs(10) };

/// What a request does to its batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Request {
    /// Is answered with its number.
    Number(u32),
    /// Undoes whatever batch it is in.
    Poison,
    /// The connection breaks: nobody knows what was done.
    Break,
    Panic,
    /// Answers are lost.
    Lose,
    /// Is refused, the others are not.
    Gone,
}
use Request::{Break, Gone, Lose, Number, Panic, Poison};

struct Told {
    /// A batch begins when there is a permit.
    turns: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Vec<Request>>>>,
}

#[async_trait]
impl Batch for Told {
    type Request = Request;
    type Answer = u32;

    async fn run(&self, requests: &[&Request]) -> std::result::Result<Vec<Result<u32>>, Failure> {
        self.batches.lock().unwrap().push(requests.iter().map(|request| **request).collect());
        self.turns.acquire().await.unwrap().forget();
        for request in requests {
            match request {
                Poison => return Err(Failure::Undone(StoreError::internal("poison"))),
                Break => return Err(Failure::Final(StoreError::unavailable("broken"))),
                Panic => panic!("told to"),
                Lose => return Ok(Vec::new()),
                Number(_) | Gone => {}
            }
        }
        Ok(requests.iter().map(|request| answer(**request)).collect())
    }
}

fn answer(request: Request) -> Result<u32> {
    if let Number(number) = request { Ok(number) } else { Err(StoreError::CallerRejected) }
}

struct Place {
    lane: Arc<Lane<Told>>,
    turns: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Vec<Request>>>>,
}

impl Place {
    /// A lane whose first batch, of the number 0, is under way: what is asked next waits.
    async fn busy(bounds: Bounds) -> Self {
        let (turns, batches) = (Arc::new(Semaphore::new(0)), Arc::default());
        let told = Told { turns: Arc::clone(&turns), batches: Arc::clone(&batches) };
        let place = Self { lane: Arc::new(Lane::open(told, bounds)), turns, batches };
        place.ask(&[Number(0)]).await;
        assert_eq!(place.batches(), [vec![Number(0)]]);
        place
    }

    /// Asks in this order; all that can happen until now has happened.
    async fn ask(&self, requests: &[Request]) -> Vec<JoinHandle<Result<u32>>> {
        let begin = |request: &Request| {
            let (lane, request) = (Arc::clone(&self.lane), *request);
            tokio::spawn(async move { lane.ask(request).await })
        };
        let asked = requests.iter().map(begin).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        asked
    }

    /// The batches that have begun after the first.
    fn later_batches(&self) -> Vec<Vec<Request>> {
        self.batches()[1..].to_vec()
    }

    fn batches(&self) -> Vec<Vec<Request>> {
        self.batches.lock().unwrap().clone()
    }

    /// Lets every batch run, and tells how the requests ended.
    async fn end(&self, asked: Vec<JoinHandle<Result<u32>>>) -> Vec<String> {
        self.turns.add_permits(1000);
        let mut ends = Vec::new();
        for request in asked {
            ends.push(match request.await.unwrap() {
                Ok(number) => number.to_string(),
                Err(StoreError::CallerRejected) => "gone".to_owned(),
                Err(StoreError::Overloaded) => "overloaded".to_owned(),
                Err(StoreError::Unavailable(_)) => "unavailable".to_owned(),
                Err(StoreError::Internal(_)) => "internal".to_owned(),
            });
        }
        ends
    }
}

#[tokio::test]
async fn alone_a_request_is_a_batch() {
    let place = Place::busy(BOUNDS).await;
    assert!(place.later_batches().is_empty());
}

/// Its task goes with it, and whatever the batch holds.
#[tokio::test]
async fn a_lane_that_nobody_holds_ends() {
    let Place { lane, turns, batches } = Place::busy(BOUNDS).await;
    turns.add_permits(1);
    drop((lane, turns));
    let is_over = async {
        while Arc::strong_count(&batches) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_over).await.unwrap();
}

/// With nobody beside it there is nobody whom it could harm.
#[tokio::test]
async fn a_request_that_fails_alone_is_not_run_again() {
    let place = Place::busy(BOUNDS).await;
    let asked = place.ask(&[Poison]).await;
    assert_eq!(place.end(asked).await, ["internal"]);
    assert_eq!(place.later_batches(), [vec![Poison]]);
}

#[tokio::test]
async fn what_waits_leaves_together_and_in_order() {
    let place = Place::busy(BOUNDS).await;
    let asked = place.ask(&[Number(1), Gone, Number(3)]).await;
    assert!(place.later_batches().is_empty(), "it joined a batch that had left");
    assert_eq!(place.end(asked).await, ["1", "gone", "3"]);
    assert_eq!(place.later_batches(), [[Number(1), Gone, Number(3)]]);
}

#[tokio::test]
async fn a_batch_is_bounded_and_the_first_come_leave_first() {
    let place = Place::busy(BOUNDS).await;
    let numbers: Vec<Request> = (1..=6).map(Number).collect();
    let asked = place.ask(&numbers).await;
    assert_eq!(place.end(asked).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(place.later_batches(), [&numbers[..4], &numbers[4..]]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let place = Place::busy(BOUNDS).await;
    let numbers: Vec<Request> = (1..=9).map(Number).collect();
    let asked = place.ask(&numbers).await;
    assert!(asked[8].is_finished());
    let ends = place.end(asked).await;
    assert_eq!(ends[7..], ["8", "overloaded"]);
}

#[tokio::test]
async fn a_poisoned_member_harms_itself_alone() {
    let place = Place::busy(BOUNDS).await;
    let asked = place.ask(&[Number(1), Poison, Number(3)]).await;
    assert_eq!(place.end(asked).await, ["1", "internal", "3"]);
    let alone = [vec![Number(1)], vec![Poison], vec![Number(3)]];
    assert_eq!(place.later_batches()[1..], alone);
}

#[tokio::test]
async fn what_may_have_happened_is_not_done_again() {
    let place = Place::busy(BOUNDS).await;
    let asked = place.ask(&[Number(1), Break, Number(3)]).await;
    assert_eq!(place.end(asked).await, ["unavailable"; 3]);
    assert_eq!(place.later_batches().len(), 1);
    let asked = place.ask(&[Number(4)]).await;
    assert_eq!(place.end(asked).await, ["4"], "the lane goes on");
}

/// One by one, a broken connection ends it for those who were not tried yet.
#[tokio::test]
async fn a_connection_that_breaks_among_single_members_ends_the_batch() {
    let place = Place::busy(BOUNDS).await;
    let asked = place.ask(&[Number(1), Poison, Break, Number(4)]).await;
    assert_eq!(place.end(asked).await, ["1", "internal", "unavailable", "unavailable"]);
    assert_eq!(place.later_batches().len(), 4);
}

#[tokio::test]
async fn a_panic_and_lost_answers_harm_their_batch_and_not_the_lane() {
    let place = Place::busy(BOUNDS).await;
    for harm in [Panic, Lose] {
        let asked = place.ask(&[Number(1), harm]).await;
        assert_eq!(place.end(asked).await, ["internal"; 2], "{harm:?}");
        let asked = place.ask(&[Number(2)]).await;
        assert_eq!(place.end(asked).await, ["2"], "{harm:?}");
    }
}

#[tokio::test]
async fn who_leaves_before_the_batch_does_not_take_part() {
    let place = Place::busy(BOUNDS).await;
    let mut asked = place.ask(&[Number(1), Number(2)]).await;
    asked.remove(0).abort();
    place.ask(&[]).await;
    assert_eq!(place.end(asked).await, ["2"]);
    assert_eq!(place.later_batches(), [[Number(2)]]);
}

#[tokio::test]
async fn who_leaves_after_the_batch_holds_nobody_up() {
    let place = Place::busy(BOUNDS).await;
    place.turns.add_permits(1);
    let mut asked = place.ask(&[Number(1), Number(2)]).await;
    assert_eq!(place.later_batches(), [[Number(1), Number(2)]]);
    asked.remove(0).abort();
    assert_eq!(place.end(asked).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_what_has_not_begun_does_not_begin() {
    let place = Place::busy(BOUNDS).await;
    let mut asked = place.ask(&[Number(1), Number(2)]).await;
    assert!(matches!(asked.remove(0).await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(place.end(asked).await, ["unavailable"]);
    let asked = place.ask(&[Number(3)]).await;
    assert_eq!(place.end(asked).await, ["3"]);
    assert_eq!(place.later_batches(), [[Number(3)]]);
}

#[tokio::test]
async fn a_lane_ends_with_its_last_handle_and_answers_what_waits() {
    let place = Place::busy(BOUNDS).await;
    let asked = place.ask(&[Number(1)]).await;
    let Place { lane, turns, batches } = place;
    drop(lane);
    turns.add_permits(10);
    for request in asked {
        assert_eq!(request.await.unwrap().unwrap(), 1);
    }
    assert_eq!(batches.lock().unwrap().len(), 2);
}
