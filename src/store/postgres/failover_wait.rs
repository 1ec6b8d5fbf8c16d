//! Requests wait for the next primary during a failover, up to a limit, instead of being refused.
//!
//! The wait begins when the primary is lost, and ends for all requests at the same time. A longer
//! outage refuses requests at once. Not here: who notices a loss, see `connection.rs` and `pool.rs`.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long the search for the next primary pauses between two attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No server was reached yet, or the outage lasts longer than the wait.
    Unknown,
    Reachable,
    /// Requests wait until then.
    Lost(Instant),
}

pub(super) struct FailoverWait {
    state: watch::Sender<State>,
    limit: Duration,
}

impl FailoverWait {
    pub(super) fn new(limit: Duration) -> Self {
        Self { state: watch::Sender::new(State::Unknown), limit }
    }

    /// Returns until when a request that begins now waits for a primary.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// A server has run a statement.
    pub(super) fn reached(&self) {
        if *self.state.borrow() != State::Reachable {
            self.state.send_replace(State::Reachable);
        }
    }

    /// The primary is lost. Returns the end of the wait, if it begins now.
    pub(super) fn lose(&self) -> Option<Instant> {
        let until = self.deadline();
        let begins = self.state.send_if_modified(|state| {
            let begins = *state == State::Reachable && !self.limit.is_zero();
            if begins {
                *state = State::Lost(until);
            }
            begins
        });
        begins.then_some(until)
    }

    /// The search for the next primary has ended without one.
    pub(super) fn give_up(&self) {
        self.state.send_if_modified(|state| {
            let is_lost = matches!(state, State::Lost(_));
            if is_lost {
                *state = State::Unknown;
            }
            is_lost
        });
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(*self.state.borrow(), State::Lost(_))
    }

    /// Waits as long as the primary is lost, at most until the deadline.
    pub(super) async fn wait(&self, deadline: Instant) {
        let mut state = self.state.subscribe();
        let is_over = state.wait_for(|state| !matches!(state, State::Lost(_)));
        tokio::select! {
            _ = is_over => {}
            () = sleep_until(deadline) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn request_waits_only_while_a_known_primary_is_lost() {
        let wait = FailoverWait::new(LIMIT);
        let begin = Instant::now();
        assert_eq!(wait.lose(), None, "no server was reached yet");
        wait.wait(wait.deadline()).await;
        wait.reached();
        wait.wait(wait.deadline()).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert_eq!(wait.lose(), Some(begin + LIMIT));
        assert_eq!(wait.lose(), None, "the wait has begun before");
        wait.wait(wait.deadline()).await;
        assert_eq!(begin.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn wait_ends_with_the_next_primary_or_the_end_of_the_search() {
        for ends in [FailoverWait::reached, FailoverWait::give_up] {
            let wait = FailoverWait::new(LIMIT);
            wait.reached();
            wait.lose();
            let begin = Instant::now();
            let end = async {
                sleep_until(begin + Duration::from_secs(1)).await;
                ends(&wait);
            };
            tokio::join!(wait.wait(wait.deadline()), end);
            assert_eq!(begin.elapsed(), Duration::from_secs(1));
            assert!(!wait.is_lost());
        }
        let wait = FailoverWait::new(LIMIT);
        wait.reached();
        wait.lose();
        wait.give_up();
        assert_eq!(wait.lose(), None, "a longer outage refuses requests at once");
    }

    #[tokio::test(start_paused = true)]
    async fn limit_of_zero_never_waits() {
        let wait = FailoverWait::new(Duration::ZERO);
        wait.reached();
        assert_eq!(wait.lose(), None);
        assert!(!wait.is_lost());
    }
}
