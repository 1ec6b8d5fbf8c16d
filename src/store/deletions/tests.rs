//! Tests of the task on a store that counts its slices. The clock is paused: it moves on to the next
//! timer as soon as every task waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::*;

/// Accounts, each with the number of slices that it needs for its votes.
#[derive(Default)]
struct State {
    accounts: HashMap<i64, u32>,
    /// Each slice: its account, its step, and the seconds since the start.
    slices: Vec<(i64, Step, u64)>,
    /// The next outcomes, in place of a slice. `None` is an error.
    outcomes: VecDeque<Option<Slice>>,
}

#[derive(Clone)]
struct ScriptedStore {
    state: Arc<Mutex<State>>,
    start: Instant,
}

impl ScriptedStore {
    fn with(accounts: &[(i64, u32)]) -> Self {
        let accounts = accounts.iter().copied().collect();
        let state = Arc::new(Mutex::new(State { accounts, ..State::default() }));
        Self { state, start: Instant::now() }
    }

    fn slices(&self) -> Vec<(i64, Step, u64)> {
        self.state.lock().unwrap().slices.clone()
    }

    async fn wait_until_empty(&self) {
        while !self.state.lock().unwrap().accounts.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl SliceStore for ScriptedStore {
    async fn find_closed_accounts(&self) -> Result<Vec<UserId>> {
        let mut accounts: Vec<_> =
            self.state.lock().unwrap().accounts.keys().copied().map(UserId).collect();
        accounts.sort_unstable();
        Ok(accounts)
    }

    async fn delete_slice(&self, UserId(account): UserId, step: Step) -> Result<Slice> {
        tokio::task::yield_now().await;
        let mut state = self.state.lock().unwrap();
        state.slices.push((account, step, self.start.elapsed().as_secs()));
        match state.outcomes.pop_front() {
            Some(Some(slice)) => return Ok(slice),
            Some(None) => return Err(StoreError::internal("on purpose")),
            None => {}
        }
        let Some(votes) = state.accounts.get_mut(&account) else { return Ok(Slice::NoAccount) };
        if step == Step::VotesCast && *votes > 1 {
            *votes -= 1;
            return Ok(Slice::More);
        }
        if step == Step::Account {
            state.accounts.remove(&account);
        }
        Ok(Slice::Last)
    }
}

fn closed() -> impl Future<Output = Result<DeleteUser>> + Send + 'static {
    std::future::ready(Ok(DeleteUser::Deleted))
}

#[tokio::test(start_paused = true)]
async fn account_is_deleted_in_the_order_of_its_references() {
    let store = ScriptedStore::with(&[(1, 2)]);
    let _deletions = Deletions::open(store.clone());
    store.wait_until_empty().await;
    let steps: Vec<Step> = store.slices().into_iter().map(|(_, step, _)| step).collect();
    let expected =
        [Step::VotesCast, Step::VotesCast, Step::VotesReceived, Step::Posts, Step::Account];
    assert_eq!(steps, expected);
}

#[test]
fn next_posts_lose_their_votes_first() {
    for (step, has_more, expected) in [
        (Step::VotesReceived, true, Some(Step::VotesReceived)),
        (Step::VotesReceived, false, Some(Step::Posts)),
        (Step::Posts, true, Some(Step::VotesReceived)),
        (Step::Posts, false, Some(Step::Account)),
        (Step::Account, true, None),
    ] {
        assert_eq!(next_step(step, has_more), expected, "{step:?} {has_more}");
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_take_turns() {
    let store = ScriptedStore::with(&[(1, 1000), (2, 1)]);
    let _deletions = Deletions::open(store.clone());
    store.wait_until_empty().await;
    let slices = store.slices();
    let last = slices.iter().rposition(|(account, ..)| *account == 2).unwrap();
    assert!(last < 10, "{last}");
    assert!(slices.len() > 1000);
}

#[tokio::test(start_paused = true)]
async fn deletion_is_answered_after_twenty_slices() {
    let store = ScriptedStore::with(&[(1, 1_000_000)]);
    let deletions = Deletions::open(store.clone());
    assert_eq!(deletions.delete(UserId(1), closed()).await.unwrap(), DeleteUser::Deleted);
    let slices = store.slices().len();
    assert!((20..1000).contains(&slices), "{slices}");
}

#[tokio::test(start_paused = true)]
async fn failed_slice_is_answered_and_retried_after_growing_pauses() {
    let store = ScriptedStore::with(&[(1, 1)]);
    store.state.lock().unwrap().outcomes = [None; 12].into();
    let deletions = Deletions::open(store.clone());
    assert_eq!(deletions.delete(UserId(1), closed()).await.unwrap(), DeleteUser::Deleted);
    assert!(store.slices().len() <= 2);
    store.wait_until_empty().await;
    let times: Vec<u64> = store.slices().into_iter().map(|(.., second)| second).take(13).collect();
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn busy_account_is_retried_while_the_caller_waits() {
    let store = ScriptedStore::with(&[(1, 1)]);
    store.state.lock().unwrap().outcomes = [Some(Slice::Busy), Some(Slice::Busy)].into();
    let deletions = Deletions::open(store.clone());
    deletions.delete(UserId(1), closed()).await.unwrap();
    assert_eq!(store.state.lock().unwrap().accounts.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn account_of_another_process_is_found_within_a_minute() {
    let store = ScriptedStore::with(&[]);
    let _deletions = Deletions::open(store.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.state.lock().unwrap().accounts.insert(1, 1);
    store.wait_until_empty().await;
    assert!(store.start.elapsed() <= Duration::from_secs(61), "{:?}", store.start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn rejected_deletion_runs_no_slice() {
    let store = ScriptedStore::with(&[]);
    let deletions = Deletions::open(store.clone());
    let outcome = deletions.delete(UserId(1), async { Ok(DeleteUser::NotOwner) }).await;
    assert_eq!(outcome.unwrap(), DeleteUser::NotOwner);
    assert_eq!(store.slices(), []);
}

#[tokio::test(start_paused = true)]
async fn task_ends_with_its_store() {
    let store = ScriptedStore::with(&[]);
    let deletions = Deletions::open(store.clone());
    drop(deletions);
    // The task has the other clone of the state.
    while Arc::strong_count(&store.state) > 1 {
        tokio::task::yield_now().await;
    }
}
