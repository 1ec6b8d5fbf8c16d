//! Takes the times: the small and the large database in turn, in many short rounds.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;

use super::operations::{ALL, Operation};
use super::rng::Random;
use super::service::{Call, Service};

/// How many requests are under way at once.
pub(crate) const CONCURRENCY: [usize; 2] = [1, 16];

/// The microseconds of a request in each round, on both databases.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) concurrency: usize,
    pub(crate) rounds: Vec<(f64, f64)>,
}

/// Every operation in every round: a slow minute of the machine is shared by all of them.
pub(crate) async fn all(
    small: &Service,
    large: &Service,
    rounds: u32,
    only: &str,
) -> Vec<Measured> {
    let mut random = Random::new(4);
    let mut results = Vec::new();
    let chosen = || ALL.iter().filter(|operation| operation.name.contains(only));
    for concurrency in CONCURRENCY {
        results.extend(chosen().map(|operation| {
            (operation, Measured { name: operation.name, concurrency, rounds: Vec::new() })
        }));
    }
    // The first round warms both and is not kept.
    for round in 0..=rounds {
        for (operation, measured) in &mut results {
            let times = if round % 2 == 0 {
                let small = time(operation, small, measured.concurrency, &mut random).await;
                (small, time(operation, large, measured.concurrency, &mut random).await)
            } else {
                let large = time(operation, large, measured.concurrency, &mut random).await;
                (time(operation, small, measured.concurrency, &mut random).await, large)
            };
            if round > 0 {
                measured.rounds.push(times);
            }
        }
    }
    results.into_iter().map(|(_, measured)| measured).collect()
}

/// Microseconds a request: the time of all of them divided by their number.
async fn time(
    operation: &Operation,
    service: &Service,
    concurrency: usize,
    random: &mut Random,
) -> f64 {
    let calls = operation.calls(service, random);
    let count = f64::from(u32::try_from(calls.len()).unwrap());
    // A vote must be there before it is withdrawn: halves, one after the other.
    let (first, second) = calls.split_at(calls.len() / 2);
    let halves = [first.to_vec(), second.to_vec()];
    let begin = Instant::now();
    let mut bodies = Vec::with_capacity(calls.len());
    for half in halves {
        bodies.extend(send(service, half, concurrency).await);
    }
    let elapsed = begin.elapsed();
    let mut undo = Vec::new();
    for body in &bodies {
        match operation.check(body) {
            Some(call) => undo.push(call),
            // Of the readings, one is enough.
            None => break,
        }
    }
    send(service, undo, 16).await;
    elapsed.as_secs_f64() * 1e6 / count
}

async fn send(service: &Service, calls: Vec<Call>, concurrency: usize) -> Vec<Bytes> {
    if concurrency == 1 {
        let mut bodies = Vec::with_capacity(calls.len());
        for call in calls {
            bodies.push(service.send(call).await);
        }
        return bodies;
    }
    let queue = Arc::new(Mutex::new(VecDeque::from(calls)));
    let tasks: Vec<_> = (0..concurrency)
        .map(|_| {
            let (service, queue) = (service.clone(), queue.clone());
            tokio::spawn(async move {
                let mut bodies = Vec::new();
                loop {
                    let Some(call) = queue.lock().unwrap().pop_front() else { break bodies };
                    bodies.push(service.send(call).await);
                }
            })
        })
        .collect();
    let mut bodies = Vec::new();
    for task in tasks {
        bodies.extend(task.await.unwrap());
    }
    bodies
}
