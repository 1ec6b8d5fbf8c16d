//! Measures the small and the large database alternately, in many short rounds.

#![expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;

use super::operations::{ALL, Operation};
use super::rng::Rng;
use super::service::{ApiRequest, Service};

/// The numbers of requests in flight at which each operation is measured.
pub(crate) const CONCURRENCY: [usize; 2] = [1, 16];

pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) concurrency: usize,
    /// The microseconds per request in each round, on the small and on the large database.
    pub(crate) rounds: Vec<(f64, f64)>,
}

/// Measures every operation in every round, so that a slow minute of the machine affects all of
/// them.
pub(crate) async fn measure_all(
    small: &Service,
    large: &Service,
    rounds: u32,
    only: &str,
) -> Vec<Measurement> {
    let mut rng = Rng::new(4);
    let mut results = Vec::new();
    let selected = || ALL.iter().filter(|operation| operation.name.contains(only));
    for concurrency in CONCURRENCY {
        results.extend(selected().map(|operation| {
            (operation, Measurement { name: operation.name, concurrency, rounds: Vec::new() })
        }));
    }
    // The first round is a warm-up; its times are dropped.
    for round in 0..=rounds {
        for (operation, measurement) in &mut results {
            let times = if round % 2 == 0 {
                let small = time(operation, small, measurement.concurrency, &mut rng).await;
                (small, time(operation, large, measurement.concurrency, &mut rng).await)
            } else {
                let large = time(operation, large, measurement.concurrency, &mut rng).await;
                (time(operation, small, measurement.concurrency, &mut rng).await, large)
            };
            if round > 0 {
                measurement.rounds.push(times);
            }
        }
    }
    results.into_iter().map(|(_, measurement)| measurement).collect()
}

/// Returns the microseconds per request: the time of all requests, divided by their number.
async fn time(operation: &Operation, service: &Service, concurrency: usize, rng: &mut Rng) -> f64 {
    let requests = operation.requests(service, rng);
    let count = f64::from(u32::try_from(requests.len()).unwrap());
    // The halves run one after the other, because a vote must exist before it can be withdrawn.
    let (first, second) = requests.split_at(requests.len() / 2);
    let halves = [first.to_vec(), second.to_vec()];
    let start = Instant::now();
    let mut bodies = Vec::with_capacity(requests.len());
    for half in halves {
        bodies.extend(send_all(service, half, concurrency).await);
    }
    let elapsed = start.elapsed();
    let mut cleanup = Vec::new();
    for body in &bodies {
        match operation.check(body) {
            Some(request) => cleanup.push(request),
            // One checked body is enough where there is nothing to clean up.
            None => break,
        }
    }
    send_all(service, cleanup, 16).await;
    elapsed.as_secs_f64() * 1e6 / count
}

async fn send_all(service: &Service, requests: Vec<ApiRequest>, concurrency: usize) -> Vec<Bytes> {
    if concurrency == 1 {
        let mut bodies = Vec::with_capacity(requests.len());
        for request in requests {
            bodies.push(service.send(request).await);
        }
        return bodies;
    }
    let queue = Arc::new(Mutex::new(VecDeque::from(requests)));
    let tasks: Vec<_> = (0..concurrency)
        .map(|_| {
            let (service, queue) = (service.clone(), queue.clone());
            tokio::spawn(async move {
                let mut bodies = Vec::new();
                loop {
                    let Some(request) = queue.lock().unwrap().pop_front() else { break bodies };
                    bodies.push(service.send(request).await);
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
