//! Events of accounts: how many are kept, and who can list them.

use jiff::SignedDuration;
use post_api::domain::event::{Event, EventKind, MOST_REFUSALS};

use super::fresh_store::{FreshStore, assert_caller_rejected, noon};

/// Returns an event whose time is its number, in seconds after noon.
fn event(kind: EventKind, number: i64) -> Event {
    Event { kind, at: noon() + SignedDuration::from_secs(number), client: None }
}

pub async fn recorded_event_is_listed_unchanged(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    assert_eq!(store.list_events(ada).await.unwrap(), []);
    let clients = [None, Some("192.0.2.7".parse().unwrap()), Some("2001:db8::7".parse().unwrap())];
    let mut recorded = Vec::new();
    for (kind, client) in EventKind::ALL.into_iter().zip(clients.into_iter().cycle()) {
        let event = Event { client, ..event(kind, 0) };
        store.record_event(ada.user_id, event).await.unwrap();
        recorded.insert(0, event);
    }
    assert_eq!(store.list_events(ada).await.unwrap(), recorded);
    assert_eq!(store.list_events(bob).await.unwrap(), []);
}

pub async fn event_list_shows_the_newest_hundred(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for number in 0..103 {
        store.record_event(ada.user_id, event(EventKind::LoggedIn, number)).await.unwrap();
    }
    let shown = store.list_events(ada).await.unwrap();
    let expected: Vec<Event> =
        (3..103).rev().map(|number| event(EventKind::LoggedIn, number)).collect();
    assert_eq!(shown, expected);
}

/// An attacker cannot hide a successful guess behind failed ones.
pub async fn rejections_do_not_displace_other_events(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.record_event(ada.user_id, event(EventKind::PasswordChanged, 0)).await.unwrap();
    for number in 1..=120 {
        store.record_event(ada.user_id, event(EventKind::LoginRefused, number)).await.unwrap();
    }
    let shown = store.list_events(ada).await.unwrap();
    assert_eq!(shown.len(), usize::try_from(MOST_REFUSALS).unwrap() + 1);
    assert_eq!(shown[0], event(EventKind::LoginRefused, 120));
    assert_eq!(*shown.last().unwrap(), event(EventKind::PasswordChanged, 0));
}

pub async fn deleting_user_deletes_its_events(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.record_event(ada.user_id, event(EventKind::SignedUp, 0)).await.unwrap();
    store.delete_user(ada, ada.user_id).await.unwrap();
    assert_caller_rejected(store.list_events(ada).await);
    // An event of a deleted account is dropped without an error.
    store.record_event(ada.user_id, event(EventKind::AccountDeleted, 1)).await.unwrap();
    let again = store.sign_up("ada").await;
    assert_eq!(store.list_events(again).await.unwrap(), []);
}
