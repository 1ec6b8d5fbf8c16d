//! Reads of administrators: the right, pages, and counts.

use jiff::{SignedDuration, Timestamp};
use post_api::domain::administration::{DayCount, ListPage, Listed, RowCount, RowCounts};
use post_api::domain::caller::Caller;
use post_api::domain::event::{Event, EventKind};
use post_api::domain::user::UserId;

use super::fresh_store::{FreshStore, assert_caller_rejected, content, noon};

/// Returns a page from the newest row on.
fn newest(limit: u32) -> ListPage {
    ListPage { before: None, limit }
}

async fn administrator(store: &FreshStore, name: &str) -> Caller {
    let caller = store.sign_up(name).await;
    assert!(store.operator().set_admin(caller.user_id, true).await.unwrap());
    caller
}

async fn record(store: &FreshStore, user: UserId, kind: EventKind, second: i64) -> Event {
    let event = Event { kind, at: noon() + SignedDuration::from_secs(second), client: None };
    store.record_event(user, event).await.unwrap();
    event
}

/// Returns the IDs of the page, or `None` if the caller has no right.
async fn account_ids(store: &FreshStore, caller: Caller, page: ListPage) -> Option<Vec<i64>> {
    let listed = store.list_accounts(caller, page).await.unwrap()?;
    Some(listed.entries.iter().map(|account| account.user.id.0).collect())
}

pub async fn only_administrators_read_the_administration(store: &FreshStore) {
    let (ada, bob) = (administrator(store, "ada").await, store.sign_up("bob").await);
    assert!(store.is_administrator(ada).await.unwrap());
    assert!(!store.is_administrator(bob).await.unwrap());
    let expected = Some(vec![bob.user_id.0, ada.user_id.0]);
    assert_eq!(account_ids(store, ada, newest(10)).await, expected);
    assert_eq!(store.list_accounts(bob, newest(10)).await.unwrap(), None);
    assert!(store.list_all_events(ada, newest(10)).await.unwrap().is_some());
    assert_eq!(store.list_all_events(bob, newest(10)).await.unwrap(), None);

    let mut operator = store.operator();
    assert!(!operator.set_admin(UserId(4711), true).await.unwrap());
    assert!(operator.disable_account(ada.user_id, noon()).await.unwrap());
    assert_rejected(store, ada).await;
    let gone = administrator(store, "gone").await;
    store.delete_user(gone, gone.user_id).await.unwrap();
    assert_rejected(store, gone).await;
    assert!(!operator.set_admin(gone.user_id, true).await.unwrap());
    // The column alone ends the right: the token of the account stays valid.
    let eve = administrator(store, "eve").await;
    store.execute(&format!(
        "UPDATE users SET disabled_at = created_at WHERE id = {}",
        eve.user_id.0
    ));
    assert_rejected(store, eve).await;
}

async fn assert_rejected(store: &FreshStore, caller: Caller) {
    assert_caller_rejected(store.is_administrator(caller).await);
    assert_caller_rejected(store.list_accounts(caller, newest(10)).await);
    assert_caller_rejected(store.list_all_events(caller, newest(10)).await);
}

pub async fn right_that_is_revoked_in_the_middle_of_a_walk_ends_the_walk(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = administrator(store, "ada").await;
    for name in ["bob", "eve"] {
        let caller = store.sign_up(name).await;
        record(store, caller.user_id, EventKind::SignedUp, 0).await;
    }
    let first = store.list_accounts(ada, newest(1)).await.unwrap().unwrap();
    let events = store.list_all_events(ada, newest(1)).await.unwrap().unwrap();
    assert!(operator.set_admin(ada.user_id, false).await.unwrap());
    let next = ListPage { before: first.next, limit: 1 };
    assert_eq!(store.list_accounts(ada, next).await.unwrap(), None);
    let next_events = ListPage { before: events.next, limit: 1 };
    assert_eq!(store.list_all_events(ada, next_events).await.unwrap(), None);
    assert!(!store.is_administrator(ada).await.unwrap());
    // The token stays valid, and a new grant continues the walk.
    store.find_caller(ada).await.unwrap();
    assert!(operator.set_admin(ada.user_id, true).await.unwrap());
    assert!(account_ids(store, ada, next).await.is_some_and(|ids| ids.len() == 1));
}

pub async fn accounts_are_listed_page_by_page(store: &FreshStore) {
    let ada = administrator(store, "ada").await;
    let mut ids = vec![ada.user_id.0];
    for name in ["bob", "eve", "kim", "lea"] {
        ids.insert(0, store.sign_up(name).await.user_id.0);
    }
    for limit in [1, 2, 5, 6] {
        let (mut walked, mut page) = (Vec::new(), newest(limit));
        loop {
            let listed = store.list_accounts(ada, page).await.unwrap().unwrap();
            walked.extend(listed.entries.iter().map(|account| account.user.id.0));
            match listed.next {
                Some(next) => page.before = Some(next),
                None => break,
            }
        }
        assert_eq!(walked, ids, "{limit}");
    }
    assert_eq!(account_ids(store, ada, newest(0)).await, Some(Vec::new()));
    let before_all = ListPage { before: Some(ids[4]), limit: 9 };
    let none = Listed { entries: Vec::new(), next: None };
    assert_eq!(store.list_accounts(ada, before_all).await.unwrap(), Some(none));
    let listed = store.list_accounts(ada, newest(9)).await.unwrap().unwrap().entries;
    let flags: Vec<bool> = listed.iter().map(|account| account.is_admin).collect();
    assert_eq!(flags, [false, false, false, false, true]);
    assert_eq!(listed[4].user.email.as_str(), "ada@example.com");
    assert_eq!((listed[4].user.created_at, listed[4].disabled_at), (noon(), None));
}

pub async fn events_of_all_accounts_are_listed_newest_first(store: &FreshStore) {
    let (ada, bob) = (administrator(store, "ada").await, store.sign_up("bob").await);
    let mut expected = Vec::new();
    for (second, user) in [ada, bob, bob, ada, bob].into_iter().enumerate() {
        let second = i64::try_from(second).unwrap();
        let event = record(store, user.user_id, EventKind::LoggedIn, second).await;
        expected.insert(0, (user.user_id, event));
    }
    let first = store.list_all_events(ada, newest(3)).await.unwrap().unwrap();
    let rest = ListPage { before: first.next, limit: 3 };
    let rest = store.list_all_events(ada, rest).await.unwrap().unwrap();
    assert_eq!(rest.next, None);
    let listed: Vec<_> = first.entries.iter().chain(&rest.entries).collect();
    assert!(listed.is_sorted_by(|one, other| one.id > other.id));
    let listed: Vec<_> = listed.iter().map(|listed| (listed.user_id, listed.event)).collect();
    assert_eq!(listed, expected);
    // A kind of a newer release is left out, and the walk passes it.
    store.execute(
        "UPDATE events SET kind = 'of_the_future' WHERE id = (SELECT max(id) FROM events)",
    );
    let page = store.list_all_events(ada, newest(1)).await.unwrap().unwrap();
    assert_eq!((page.entries.len(), page.next.is_some()), (0, true));
    store.delete_user(bob, bob.user_id).await.unwrap();
    let page = store.list_all_events(ada, newest(9)).await.unwrap().unwrap();
    assert!(page.entries.iter().all(|listed| listed.user_id == ada.user_id));
}

pub async fn counts_are_those_of_the_rows(store: &FreshStore) {
    let exact = |count| RowCount { count, is_exact: true };
    let empty = RowCounts { users: exact(0), posts: exact(0), drafts: exact(0), votes: exact(0) };
    assert_eq!(store.count_all_rows().await.unwrap(), empty);
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    store.sign_up("eve").await;
    for title in ["one", "two"] {
        let post = store.write(ada, title).await;
        store.vote(ada, post.id, 1).await;
        store.vote(bob, post.id, -1).await;
    }
    store.draft(bob, "draft").await;
    let counts = RowCounts { users: exact(3), posts: exact(2), drafts: exact(1), votes: exact(4) };
    assert_eq!(store.count_all_rows().await.unwrap(), counts);
}

pub async fn days_have_the_sign_ups_and_posts_of_their_24_hours(store: &FreshStore) {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let ada = store.sign_up("ada").await;
    for (title, published, time) in [
        ("first", true, "2025-01-30T00:00:00Z"),
        ("last", true, "2025-01-30T23:59:59.999999Z"),
        ("draft", false, "2025-01-30T12:00:00Z"),
        ("next", true, "2025-01-31T00:00:00Z"),
        ("old", true, "2024-12-31T23:59:59.999999Z"),
    ] {
        store.create_post(ada, content(title, published), at(time)).await.unwrap();
    }
    let days = ["2025-01-29", "2025-01-30", "2025-01-31"];
    let days = days.map(|day| at(&format!("{day}T00:00:00Z"))).to_vec();
    let expected = [(0, 0), (0, 2), (1, 1)].map(|(users, posts)| (Some(users), posts));
    let counted = store.count_days(days.clone()).await.unwrap();
    let expected: Vec<DayCount> = days
        .into_iter()
        .zip(expected)
        .map(|(begins_at, (users, posts))| DayCount { begins_at, users, posts })
        .collect();
    assert_eq!(counted, expected);
    assert_eq!(store.count_days(Vec::new()).await.unwrap(), []);
}
