//! Asks all hosts of an address at the same time, and takes the first one that fits. A host that
//! never answers therefore delays no connection to another host.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection_error::{HostFailure, OpenError};

/// How long the race waits before it asks a host again that did not fit, while others are silent.
const PAUSE: Duration = Duration::from_millis(250);

/// Returns the first success of `ask`, which gets the index of a host. As long as a host is silent,
/// the others are asked again: one of them may become the primary.
///
/// # Errors
/// The last failure of each host, once every host has failed, or at the deadline.
pub(super) async fn race<T, F>(
    hosts: &[String],
    deadline: Instant,
    ask: impl Fn(usize) -> F,
) -> Result<T, OpenError>
where
    F: Future<Output = Result<T, HostFailure>>,
{
    let ask = &ask;
    let ask_after = async |pause, index| {
        sleep(pause).await;
        (index, ask(index).await)
    };
    let mut failures: Vec<Option<HostFailure>> = hosts.iter().map(|_| None).collect();
    let first = async {
        let mut asked: FuturesUnordered<_> =
            (0..hosts.len()).map(|index| ask_after(Duration::ZERO, index)).collect();
        while let Some((index, outcome)) = asked.next().await {
            let failure = match outcome {
                Ok(found) => return Some(found),
                Err(failure) => failure,
            };
            let may_pass = failure.may_pass();
            if let Some(last) = failures.get_mut(index) {
                *last = Some(failure);
            }
            if failures.iter().all(Option::is_some) {
                break;
            }
            if may_pass {
                asked.push(ask_after(PAUSE, index));
            }
        }
        None
    };
    match timeout_at(deadline, first).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) | Err(_) => Err(OpenError::new(hosts, failures)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn hosts(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("host{index}")).collect()
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn silent_host_costs_nothing_at_any_place() {
        for place in 0..3 {
            let begin = Instant::now();
            let hosts = hosts(3);
            let found = race(&hosts, deadline(), async |index| {
                if index == place {
                    std::future::pending::<()>().await;
                }
                Ok::<_, HostFailure>(index)
            });
            assert_ne!(found.await.unwrap(), place);
            assert_eq!(begin.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn host_that_becomes_primary_is_found_while_another_is_silent() {
        let begin = Instant::now();
        let hosts = hosts(2);
        let found = race(&hosts, deadline(), async |index| {
            if index == 0 {
                std::future::pending::<()>().await;
            }
            if begin.elapsed() < Duration::from_secs(2) {
                return Err(HostFailure::Standby);
            }
            Ok(index)
        });
        assert_eq!(found.await.unwrap(), 1);
        assert!(begin.elapsed() <= Duration::from_secs(2) + PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn race_ends_when_every_host_has_failed() {
        let (begin, asked) = (Instant::now(), Cell::new(0));
        let hosts = hosts(2);
        let found = race(&hosts, deadline(), async |_| {
            asked.set(asked.get() + 1);
            Err::<(), _>(HostFailure::Standby)
        });
        let error = found.await.unwrap_err();
        assert_eq!((begin.elapsed(), asked.get()), (Duration::ZERO, 2));
        let text = error.to_string();
        assert!(text.contains("host0: the server is a standby; host1: "), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_without_an_answer_are_named_at_the_deadline() {
        let begin = Instant::now();
        let hosts = hosts(2);
        let found = race(&hosts, deadline(), async |index| {
            if index == 0 {
                std::future::pending::<()>().await;
            }
            Err::<(), _>(HostFailure::Standby)
        });
        let text = found.await.unwrap_err().to_string();
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
        assert!(text.contains("host0: the server did not answer in time; host1: "), "{text}");
    }
}
