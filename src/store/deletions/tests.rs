//! Tests of the task on a store that counts its slices. The clock is paused: it moves on to the next
//! timer as soon as every task waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::hidden_range::LastId;
use super::*;

/// Accounts, each with the number of slices that it needs for its votes.
#[derive(Default)]
struct State {
    accounts: HashMap<i64, u32>,
    /// Each slice: its account, its step, and the seconds since the start.
    slices: Vec<(i64, Step, u64)>,
    /// The next outcomes, in place of a slice. `None` is an error.
    outcomes: VecDeque<Option<Slice>>,
    /// The ranges of all accounts, newest first.
    ranges: Vec<HiddenRange>,
    /// The transactions that have got an ID. `None` is an error.
    transactions: Option<Vec<&'static str>>,
    /// Number of searches for the last ID.
    range_searches: u32,
}

#[derive(Clone)]
struct ScriptedStore {
    state: Arc<Mutex<State>>,
    start: Instant,
}

impl ScriptedStore {
    fn with(accounts: &[(i64, u32)]) -> Self {
        let accounts = accounts.iter().copied().collect();
        let transactions = Some(Vec::new());
        let state = State { accounts, transactions, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), start: Instant::now() }
    }

    fn set_ranges(&self, ranges: &[(i64, i64)]) {
        let ranges = ranges.iter().map(|&(above, up_to)| HiddenRange { above, up_to });
        self.state.lock().unwrap().ranges = ranges.collect();
    }

    fn set_transactions(&self, transactions: Option<Vec<&'static str>>) {
        self.state.lock().unwrap().transactions = transactions;
    }

    fn transactions(&self) -> Result<Vec<String>> {
        let transactions = self.state.lock().unwrap().transactions.clone();
        let transactions = transactions.ok_or_else(|| StoreError::internal("on purpose"))?;
        Ok(transactions.into_iter().map(str::to_owned).collect())
    }

    fn slices(&self) -> Vec<(i64, Step, u64)> {
        self.state.lock().unwrap().slices.clone()
    }

    async fn wait_until_empty(&self) {
        while !self.state.lock().unwrap().accounts.is_empty() {
            // The clock of the test is paused: shorter steps take longer.
            tokio::time::sleep(Duration::from_millis(100)).await;
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

#[async_trait]
impl HiddenRangeStore for ScriptedStore {
    async fn find_last_id(&self) -> Result<Option<LastId>> {
        self.state.lock().unwrap().range_searches += 1;
        Ok(Some(LastId { id: 1_000_000, transactions: self.transactions()? }))
    }

    async fn find_running(&self, noted: Vec<String>) -> Result<Vec<String>> {
        Ok(self.transactions()?.into_iter().filter(|name| noted.contains(name)).collect())
    }

    async fn find_hidden_range(&self, _: UserId, up_to: i64) -> Result<Option<HiddenRange>> {
        let state = self.state.lock().unwrap();
        Ok(state.ranges.iter().copied().find(|range| range.up_to <= up_to))
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
    let expected = [
        Step::VotesCast,
        Step::VotesCast,
        Step::VotesReceived,
        Step::Posts,
        Step::IdempotencyKeys,
        Step::Account,
    ];
    assert_eq!(steps, expected);
}

#[test]
fn next_posts_lose_their_votes_first() {
    for (step, has_more, expected) in [
        (Step::VotesReceived, true, Some(Step::VotesReceived)),
        (Step::VotesReceived, false, Some(Step::Posts)),
        (Step::Posts, true, Some(Step::VotesReceived)),
        (Step::Posts, false, Some(Step::IdempotencyKeys)),
        (Step::IdempotencyKeys, true, Some(Step::IdempotencyKeys)),
        (Step::IdempotencyKeys, false, Some(Step::Account)),
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
async fn account_of_another_process_is_found_within_ten_seconds() {
    let store = ScriptedStore::with(&[]);
    let _deletions = Deletions::open(store.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.state.lock().unwrap().accounts.insert(1, 1);
    store.wait_until_empty().await;
    assert!(store.start.elapsed() <= Duration::from_secs(11), "{:?}", store.start.elapsed());
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

const RANGE: HiddenRange = HiddenRange { above: 10, up_to: 5000 };

#[tokio::test(start_paused = true)]
async fn range_of_a_large_account_is_known_until_the_account_is_deleted() {
    let store = ScriptedStore::with(&[(1, 1000)]);
    // The widest one counts.
    store.set_ranges(&[(5100, 6200), (10, 5000), (3, 7)]);
    let deletions = Deletions::open(store.clone());
    deletions.delete(UserId(1), closed()).await.unwrap();
    let mut hidden = deletions.watch_hidden_range();
    assert_eq!(*hidden.wait_for(Option::is_some).await.unwrap(), Some(RANGE));
    assert!(!store.state.lock().unwrap().accounts.is_empty());
    hidden.wait_for(Option::is_none).await.unwrap();
    assert!(store.state.lock().unwrap().accounts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn small_account_and_narrow_range_are_not_passed_over() {
    let store = ScriptedStore::with(&[]);
    store.set_ranges(&[(10, 5000)]);
    let deletions = Deletions::open(store.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.state.lock().unwrap().accounts.insert(1, 10);
    deletions.delete(UserId(1), closed()).await.unwrap();
    assert_eq!(store.state.lock().unwrap().range_searches, 0);
    store.set_ranges(&[(10, 1009)]);
    store.state.lock().unwrap().accounts.insert(2, 100);
    deletions.delete(UserId(2), closed()).await.unwrap();
    store.wait_until_empty().await;
    assert_eq!(store.state.lock().unwrap().range_searches, 1);
    assert_eq!(deletions.hidden_range(), None);
}

#[tokio::test(start_paused = true)]
async fn range_is_known_after_the_transactions_that_may_add_to_it() {
    let store = ScriptedStore::with(&[(1, 1_000_000)]);
    store.set_ranges(&[(10, 5000)]);
    store.set_transactions(Some(vec!["first"]));
    store.state.lock().unwrap().outcomes = [Some(Slice::Busy); 1000].into();
    // The account of another process: every slice is busy.
    let deletions = Deletions::open(store.clone());
    let mut hidden = deletions.watch_hidden_range();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(*hidden.borrow(), None);
    // A later transaction gets later IDs.
    store.set_transactions(Some(vec!["second"]));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*hidden.borrow_and_update(), Some(RANGE));
    assert_eq!(store.state.lock().unwrap().range_searches, 1);
    // The other process deletes the last row.
    store.state.lock().unwrap().accounts.clear();
    store.state.lock().unwrap().outcomes.clear();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(*hidden.borrow(), None);
}

#[tokio::test(start_paused = true)]
async fn failed_search_for_a_range_is_retried_and_delays_no_slice() {
    let store = ScriptedStore::with(&[(1, 1_000_000)]);
    store.set_ranges(&[(10, 5000)]);
    store.set_transactions(None);
    store.state.lock().unwrap().outcomes = [None; 1000].into();
    let deletions = Deletions::open(store.clone());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(store.slices().len() > 4);
    assert_eq!(deletions.hidden_range(), None);
    store.set_transactions(Some(Vec::new()));
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(deletions.hidden_range(), Some(RANGE));
    assert_eq!(store.state.lock().unwrap().range_searches, 2);
}
