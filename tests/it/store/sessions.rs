//! Sessions: creation, rotation of refresh tokens, end.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use post_api::auth::RefreshSecrets;
use post_api::domain::caller::Caller;
use post_api::domain::session::{MAX_SESSIONS, NewSession, Rotation, Salt, Session, SessionId};
use post_api::domain::user::TokensValidFrom;
use post_api::store::RotateSession;

use super::fresh_store::{FreshStore, assert_caller_rejected, email, noon};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A refresh token, as its client knows it.
struct Token {
    id: SessionId,
    secrets: RefreshSecrets,
}

fn new_session(caller: Caller, secrets: &RefreshSecrets, now: Timestamp) -> NewSession {
    NewSession {
        user_id: caller.user_id,
        tokens_valid_from: TokensValidFrom(caller.valid_from_range.earliest()),
        family_hash: secrets.family_hash(),
        secret_hash: secrets.secret_hash(),
        user_agent: "a browser".to_owned(),
        now,
        expires_at: now + DAY * 30,
        ends_at: now + DAY * 365,
    }
}

async fn create(store: &FreshStore, caller: Caller, now: Timestamp) -> Token {
    let secrets = RefreshSecrets::generate().unwrap();
    let id = store.create_session(new_session(caller, &secrets, now)).await.unwrap().unwrap();
    Token { id, secrets }
}

impl Token {
    async fn rotate(&self, store: &FreshStore, salt: Salt, now: Timestamp) -> RotateSession {
        let rotation = Rotation {
            id: self.id,
            family_hash: self.secrets.family_hash(),
            presented_hash: self.secrets.secret_hash(),
            next_hash: self.secrets.successor(salt).secret_hash(),
            salt,
            now,
            expires_at: now + DAY * 30,
        };
        store.rotate_session(rotation).await.unwrap()
    }

    fn next(&self, salt: Salt) -> Self {
        Self { id: self.id, secrets: self.secrets.successor(salt) }
    }
}

fn after(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

pub async fn created_session_is_listed_unchanged(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    assert_eq!(store.list_sessions(ada, noon()).await.unwrap(), []);
    let first = create(store, ada, noon()).await;
    let second = create(store, ada, after(1)).await;
    create(store, bob, noon()).await;
    let session = |id, now: Timestamp| Session {
        id,
        user_agent: "a browser".to_owned(),
        created_at: now,
        used_at: now,
        expires_at: now + DAY * 30,
    };
    let expected = [session(second.id, after(1)), session(first.id, noon())];
    assert_eq!(store.list_sessions(ada, after(2)).await.unwrap(), expected);
    first.rotate(store, [1; 16], after(3)).await;
    let used =
        Session { used_at: after(3), expires_at: after(3) + DAY * 30, ..expected[1].clone() };
    let listed = store.list_sessions(ada, after(4)).await.unwrap();
    assert_eq!(listed, [used, expected[0].clone()]);
}

pub async fn rotated_token_can_be_retried_for_ten_seconds(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let first = create(store, ada, noon()).await;
    let tokens_valid_from = TokensValidFrom(ada.valid_from_range.earliest());
    let rotated = RotateSession::Rotated(ada.user_id, tokens_valid_from);
    assert_eq!(first.rotate(store, [1; 16], noon()).await, rotated);
    for seconds in [0, 1, 9] {
        // The salt of the first rotation decides, not that of the retry.
        let repeated = first.rotate(store, [2; 16], after(seconds)).await;
        assert_eq!(
            repeated,
            RotateSession::Repeated(ada.user_id, tokens_valid_from, [1; 16]),
            "{seconds}"
        );
    }
    let second = first.next([1; 16]);
    assert_eq!(second.rotate(store, [3; 16], after(20)).await, rotated);
    let third = second.next([3; 16]);
    assert_eq!(third.rotate(store, [4; 16], after(40)).await, rotated);
}

pub async fn token_reuse_revokes_the_session(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for (is_grandparent, seconds) in [(false, 10), (false, 11), (false, 86_400), (true, 1)] {
        let first = create(store, ada, noon()).await;
        let other = create(store, ada, noon()).await;
        first.rotate(store, [1; 16], noon()).await;
        let mut last = first.next([1; 16]);
        if is_grandparent {
            last.rotate(store, [2; 16], noon()).await;
            last = last.next([2; 16]);
        }
        let reused = first.rotate(store, [3; 16], after(seconds)).await;
        assert_eq!(reused, RotateSession::Reused(ada.user_id), "after {seconds} s");
        // The current token is revoked too, but no other session.
        for token in [&first, &last] {
            let rejected = token.rotate(store, [4; 16], after(seconds)).await;
            assert_eq!(rejected, RotateSession::NoSuchSession);
        }
        let others = other.rotate(store, [5; 16], after(seconds)).await;
        assert!(matches!(others, RotateSession::Rotated(..)), "{others:?}");
    }
}

pub async fn concurrent_rotations_return_the_same_successor(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for round in 0..5 {
        let first = create(store, ada, noon()).await;
        let attempts = (0..20_u8).map(|number| first.rotate(store, [number; 16], noon()));
        let outcomes = join_all(attempts).await;
        let mut salts = Vec::new();
        for (number, outcome) in (0..20_u8).zip(outcomes) {
            salts.push(match outcome {
                RotateSession::Rotated(..) => [number; 16],
                RotateSession::Repeated(_, _, salt) => salt,
                other => panic!("round {round}: {other:?}"),
            });
        }
        salts.dedup();
        assert_eq!(salts.len(), 1, "round {round}: {salts:?}");
        let second = first.next(salts[0]).rotate(store, [99; 16], noon()).await;
        assert!(matches!(second, RotateSession::Rotated(..)), "{second:?}");
    }
}

/// Session IDs can be guessed; a guess must not end a session.
pub async fn unknown_secret_revokes_nothing(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let first = create(store, ada, noon()).await;
    let unknown = Token { id: first.id, secrets: RefreshSecrets::generate().unwrap() };
    let missing = Token { id: SessionId(4711), secrets: RefreshSecrets::generate().unwrap() };
    for token in [unknown, missing] {
        let refused = token.rotate(store, [1; 16], noon()).await;
        assert_eq!(refused, RotateSession::NoSuchSession);
    }
    let good = first.rotate(store, [1; 16], noon()).await;
    assert!(matches!(good, RotateSession::Rotated(..)), "{good:?}");
}

pub async fn unused_session_expires_after_idle_timeout(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let month = 30 * 86_400;
    let first = create(store, ada, noon()).await;
    assert_eq!(store.list_sessions(ada, after(month)).await.unwrap(), []);
    assert_eq!(store.list_sessions(ada, after(month - 1)).await.unwrap().len(), 1);
    let rejected = first.rotate(store, [1; 16], after(month)).await;
    assert_eq!(rejected, RotateSession::NoSuchSession);
    let rotated = first.rotate(store, [1; 16], after(month - 1)).await;
    assert!(matches!(rotated, RotateSession::Rotated(..)), "{rotated:?}");
    // The rotation started another idle timeout of a month.
    assert_eq!(store.list_sessions(ada, after(month)).await.unwrap().len(), 1);
}

pub async fn used_session_expires_after_absolute_timeout(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let mut token = create(store, ada, noon()).await;
    let days = |days: i64| after(days * 86_400);
    for day in (20..365).step_by(20) {
        let outcome = token.rotate(store, [1; 16], days(day)).await;
        assert!(matches!(outcome, RotateSession::Rotated(..)), "day {day}: {outcome:?}");
        token = token.next([1; 16]);
    }
    let listed = store.list_sessions(ada, days(361)).await.unwrap();
    assert_eq!(listed[0].expires_at, days(365));
    let rejected = token.rotate(store, [1; 16], days(365)).await;
    assert_eq!(rejected, RotateSession::NoSuchSession);
}

pub async fn revoking_all_tokens_ends_sessions(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (hers, his) = (create(store, ada, noon()).await, create(store, bob, noon()).await);
    let rotated_once = create(store, ada, noon()).await;
    rotated_once.rotate(store, [1; 16], noon()).await;
    store.sign_out(ada, noon()).await.unwrap();
    for token in [&hers, &rotated_once] {
        assert_eq!(token.rotate(store, [1; 16], noon()).await, RotateSession::NoSuchSession);
    }
    let others = his.rotate(store, [1; 16], noon()).await;
    assert!(matches!(others, RotateSession::Rotated(..)), "{others:?}");
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    let again = super::fresh_store::with_valid_from(ada, found.tokens_valid_from);
    assert_eq!(store.list_sessions(again, noon()).await.unwrap(), []);
    let new = create(store, again, noon()).await;
    let rotated = new.rotate(store, [1; 16], noon()).await;
    assert_eq!(rotated, RotateSession::Rotated(ada.user_id, found.tokens_valid_from));
    store.delete_user(again, ada.user_id).await.unwrap();
    let rejected = new.next([1; 16]).rotate(store, [2; 16], noon()).await;
    assert_eq!(rejected, RotateSession::NoSuchSession);
}

/// The password changed between its check and the creation of the session.
pub async fn session_with_outdated_valid_from_is_not_created(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let secrets = RefreshSecrets::generate().unwrap();
    store.sign_out(ada, noon()).await.unwrap();
    let refused = store.create_session(new_session(ada, &secrets, noon())).await.unwrap();
    assert_eq!(refused, None);
    let deleted = store.deleted_caller().await;
    let refused = store.create_session(new_session(deleted, &secrets, noon())).await.unwrap();
    assert_eq!(refused, None);
}

pub async fn session_can_be_ended_only_by_its_owner(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let [first, second, third] = [
        create(store, ada, noon()).await,
        create(store, ada, noon()).await,
        create(store, ada, noon()).await,
    ];
    let his = create(store, bob, noon()).await;
    for id in [first.id, SessionId(4711), SessionId(0), SessionId(i64::MIN)] {
        assert!(!store.end_sessions(bob, Some(id)).await.unwrap(), "{id:?}");
    }
    assert!(store.end_sessions(ada, Some(first.id)).await.unwrap());
    assert!(!store.end_sessions(ada, Some(first.id)).await.unwrap());
    assert_eq!(first.rotate(store, [1; 16], noon()).await, RotateSession::NoSuchSession);
    let rotated = second.rotate(store, [1; 16], noon()).await;
    assert!(matches!(rotated, RotateSession::Rotated(..)), "{rotated:?}");
    assert!(store.end_sessions(ada, None).await.unwrap());
    assert!(!store.end_sessions(ada, None).await.unwrap());
    for token in [second.next([1; 16]), third] {
        assert_eq!(token.rotate(store, [2; 16], noon()).await, RotateSession::NoSuchSession);
    }
    assert_eq!(store.list_sessions(bob, noon()).await.unwrap()[0].id, his.id);
    let rejected = store.deleted_caller().await;
    assert_caller_rejected(store.end_sessions(rejected, None).await);
}

pub async fn only_the_hundred_last_used_sessions_are_kept(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let latest = i64::from(MAX_SESSIONS);
    let first = create(store, ada, after(0)).await;
    for number in 1..latest {
        create(store, ada, after(number)).await;
    }
    assert_eq!(store.list_sessions(ada, after(latest)).await.unwrap().len(), 100);
    // The oldest session becomes the last used.
    first.rotate(store, [1; 16], after(latest)).await;
    let last = create(store, ada, after(latest + 1)).await;
    let kept = store.list_sessions(ada, after(latest + 1)).await.unwrap();
    assert_eq!(kept.len(), 100);
    assert_eq!((kept[0].id, kept[1].id), (last.id, first.id));
    assert_eq!(kept.last().unwrap().used_at, after(2));
}
