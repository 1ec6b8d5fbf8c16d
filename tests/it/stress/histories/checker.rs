//! Checks whether the history of one post is linearizable: the search of Wing and Gong (1993),
//! which skips visited states (Lowe, 2017).

use std::collections::HashSet;

/// A call with its response. Times are any increasing numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) started: u64,
    pub(super) ended: u64,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Read { votes: i64 },
    Vote { voter: usize, dir: i64, response: VoteResponse },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VoteResponse {
    Added,
    Changed,
    Withdrawn,
    AlreadyCast,
    NotCast,
}

/// The vote of each voter; 0 is none.
type Votes = Vec<i64>;

pub(super) fn is_linearizable(voters: usize, history: &[Event]) -> bool {
    let mut visited = HashSet::new();
    let mut open = vec![(vec![false; history.len()], vec![0; voters])];
    while let Some((placed, votes)) = open.pop() {
        if placed.iter().all(|is_placed| *is_placed) {
            return true;
        }
        for next in candidates(history, &placed) {
            let Some(after) = apply(&votes, history[next].outcome) else { continue };
            let mut placed = placed.clone();
            placed[next] = true;
            if visited.insert((placed.clone(), after.clone())) {
                open.push((placed, after));
            }
        }
    }
    false
}

/// Returns the events that may be next in the order: those that started before the first of the
/// others ended.
fn candidates<'a>(history: &'a [Event], placed: &'a [bool]) -> impl Iterator<Item = usize> + 'a {
    let is_left = |index: &usize| !placed[*index];
    let first_end = (0..history.len()).filter(is_left).map(|index| history[index].ended).min();
    (0..history.len())
        .filter(move |index| is_left(index) && Some(history[*index].started) < first_end)
}

/// Returns the votes after the event, or `None` if its response contradicts the votes.
fn apply(cast: &Votes, outcome: Outcome) -> Option<Votes> {
    let (voter, dir, response) = match outcome {
        Outcome::Read { votes } => {
            return (cast.iter().sum::<i64>() == votes).then(|| cast.clone());
        }
        Outcome::Vote { voter, dir, response } => (voter, dir, response),
    };
    let expected = match (cast[voter], dir) {
        (0, 0) => VoteResponse::NotCast,
        (before, dir) if before == dir => VoteResponse::AlreadyCast,
        (_, 0) => VoteResponse::Withdrawn,
        (0, _) => VoteResponse::Added,
        _ => VoteResponse::Changed,
    };
    if expected != response {
        return None;
    }
    let mut after = cast.clone();
    after[voter] = dir;
    Some(after)
}

fn read(started: u64, ended: u64, votes: i64) -> Event {
    Event { started, ended, outcome: Outcome::Read { votes } }
}

fn vote(started: u64, ended: u64, voter: usize, dir: i64, response: VoteResponse) -> Event {
    Event { started, ended, outcome: Outcome::Vote { voter, dir, response } }
}

#[test]
fn linearizable_history_is_accepted() {
    use VoteResponse::{Added, AlreadyCast, Changed, NotCast, Withdrawn};
    for history in [
        vec![],
        vec![read(0, 1, 0), vote(2, 3, 0, 1, Added), read(4, 5, 1)],
        // Concurrent: the read comes before or after the vote.
        vec![vote(0, 3, 0, 1, Added), read(1, 2, 0)],
        vec![vote(0, 3, 0, 1, Added), read(1, 2, 1)],
        vec![vote(0, 5, 0, 1, Added), vote(1, 2, 0, 1, AlreadyCast), vote(3, 4, 0, 0, Withdrawn)],
        vec![vote(0, 1, 1, 0, NotCast), vote(2, 3, 1, 1, Added), vote(4, 5, 1, -1, Changed)],
    ] {
        assert!(is_linearizable(2, &history), "{history:?}");
    }
}

#[test]
fn non_linearizable_history_is_rejected() {
    use VoteResponse::{Added, AlreadyCast, Changed, Withdrawn};
    for history in [
        // A read of the past.
        vec![vote(0, 1, 0, 1, Added), read(2, 3, 0)],
        // A read of the future.
        vec![read(0, 1, 1), vote(2, 3, 0, 1, Added)],
        // A vote that counts twice.
        vec![vote(0, 4, 0, 1, Added), vote(1, 3, 0, 1, Added)],
        vec![vote(0, 1, 0, 1, Added), vote(2, 3, 1, 1, Added), read(4, 5, 3)],
        // A count that goes up and back down.
        vec![vote(0, 9, 0, 1, Added), read(1, 2, 1), read(3, 4, 0)],
        // A lost withdrawal.
        vec![vote(0, 1, 0, 1, Added), vote(2, 3, 0, 0, Withdrawn), vote(4, 5, 0, 1, AlreadyCast)],
        vec![vote(0, 1, 0, 1, Changed)],
    ] {
        assert!(!is_linearizable(2, &history), "{history:?}");
    }
}
