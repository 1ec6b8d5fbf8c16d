//! Statements of the PostgreSQL store whose plans are out of date, because the type of a column was
//! changed while they were prepared. No request fails.

use std::sync::Arc;

use futures_util::future::join_all;
use post_api::auth::RefreshSecrets;
use post_api::domain::caller::Caller;
use post_api::domain::display_name::NameChange;
use post_api::domain::event::{Event, EventKind};
use post_api::domain::page::{Page, PostScope};
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::PostId;
use post_api::domain::session::{NewSession, Rotation, SessionId};
use post_api::domain::user::{AccountKey, TokensValidFrom, UserId};
use post_api::store::postgres::PostgresStore;
use post_api::store::{ChangeEmail, CreateUser, Readiness, RotateSession};

use super::fresh_store::{
    FreshStore, caller, content, email, hash, new_user, noon, search, vote, with_valid_from,
};
use crate::support::{Cluster, PostgresDatabase};

/// Every column that a statement returns or compares, with a type that the service reads as well.
/// The second change restores the first type.
const CHANGES: [(&str, &str, &str, &str); 17] = [
    ("posts", "title", "varchar", "text"),
    ("posts", "content", "varchar", "text"),
    ("posts", "created_at", "timestamptz(6)", "timestamptz"),
    ("users", "email", "varchar", "text"),
    ("users", "password", "varchar", "text"),
    ("users", "created_at", "timestamptz(6)", "timestamptz"),
    ("users", "tokens_valid_from", "timestamptz(6)", "timestamptz"),
    ("votes", "dir", "integer", "smallint"),
    ("sessions", "user_agent", "varchar", "text"),
    ("sessions", "created_at", "timestamptz(6)", "timestamptz"),
    ("sessions", "used_at", "timestamptz(6)", "timestamptz"),
    ("sessions", "expires_at", "timestamptz(6)", "timestamptz"),
    ("events", "kind", "varchar", "text"),
    ("events", "client", "varchar", "text"),
    ("events", "at", "timestamptz(6)", "timestamptz"),
    ("schema_migrations", "revision", "varchar", "text"),
    ("schema_migrations", "applied_at", "timestamptz(6)", "timestamptz"),
];

fn change_types(database: &PostgresDatabase<'_>, is_first: bool) {
    for (table, column, other, usual) in CHANGES {
        let to = if is_first { other } else { usual };
        database.execute(&format!("ALTER TABLE {table} ALTER {column} TYPE {to}"));
    }
}

#[tokio::test]
async fn changed_column_types_fail_no_request() {
    let database = Cluster::shared().database();
    let store = FreshStore::shared(Arc::new(PostgresStore::open(&database.address()).unwrap()));
    // Several connections have every statement prepared.
    let run = async |round: usize| {
        join_all((0..6).map(|member| run_everything(&store, format!("u{round}m{member}")))).await;
    };
    run(0).await;
    for round in 1..=4 {
        change_types(&database, round % 2 == 1);
        run(2 * round).await;
        run(2 * round + 1).await;
    }
}

/// A single connection, and one change at a time: the first request after it finds the old plan.
#[tokio::test]
async fn each_changed_column_type_fails_no_request() {
    let database = Cluster::shared().database();
    let store = FreshStore::shared(Arc::new(PostgresStore::open(&database.address()).unwrap()));
    run_everything(&store, "first".to_owned()).await;
    for (number, (table, column, other, _)) in CHANGES.into_iter().enumerate() {
        database.execute(&format!("ALTER TABLE {table} ALTER {column} TYPE {other}"));
        run_everything(&store, format!("u{number}")).await;
    }
}

/// Runs every statement of the store.
async fn run_everything(store: &FreshStore, name: String) {
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
    let ada = run_account(store, &name).await;
    run_sessions(store, ada).await;
    run_posts(store, ada).await;
    let start = store.listen_to_changes().await.unwrap().start;
    store.read_changes(start, 5).await.unwrap();
    store.find_changed_posts(vec![PostId(1)], DraftVisibility::Private).await.unwrap();
    store.forget_changes().await.unwrap();
    let bob = store.sign_up(&format!("{name}.bob")).await;
    store.delete_user(bob, bob.user_id).await.unwrap();
    store.sign_out(ada, noon()).await.unwrap();
}

async fn run_account(store: &FreshStore, name: &str) -> Caller {
    let CreateUser::Created(user) = store.create_user(new_user(name)).await.unwrap() else {
        panic!("{name} already has an account")
    };
    let ada = caller(user.id);
    store.find_user(user.id).await.unwrap().unwrap();
    store.find_me(ada).await.unwrap();
    store.find_caller(ada).await.unwrap();
    store.find_credentials(email(name).into()).await.unwrap().unwrap();
    store.find_own_credentials(ada).await.unwrap();
    store.upgrade_password_hash(user.id, hash("a hash"), hash("b")).await.unwrap();
    let event = Event { kind: EventKind::LoggedIn, at: noon(), client: None };
    store.record_event(user.id, event).await.unwrap();
    store.list_events(ada).await.unwrap();
    let key = AccountKey(user.id.0);
    store.record_login_failure(key, noon()).await.unwrap();
    store.count_login_failures(key, noon()).await.unwrap();
    store.clear_login_failures(key).await.unwrap();
    let valid_from = store.change_password(ada, hash("c"), noon()).await.unwrap();
    let ada = with_valid_from(ada, valid_from);
    let changed = store
        .change_email(ada, email(&format!("{name}.new")), NameChange::Keep, noon())
        .await
        .unwrap();
    let ChangeEmail::Changed(_, valid_from) = changed else { panic!("{changed:?}") };
    with_valid_from(ada, valid_from)
}

async fn run_sessions(store: &FreshStore, ada: Caller) {
    let secrets = RefreshSecrets::generate().unwrap();
    let new = |secrets: &RefreshSecrets| NewSession {
        user_id: ada.user_id,
        tokens_valid_from: TokensValidFrom(ada.valid_from_range.earliest()),
        family_hash: secrets.family_hash(),
        secret_hash: secrets.secret_hash(),
        user_agent: "a browser".to_owned(),
        now: noon(),
        expires_at: noon() + jiff::SignedDuration::from_hours(1),
        ends_at: noon() + jiff::SignedDuration::from_hours(2),
    };
    let id = store.create_session(new(&secrets)).await.unwrap().unwrap();
    let rotate = async |now: jiff::Timestamp| {
        let rotation = Rotation {
            id,
            family_hash: secrets.family_hash(),
            presented_hash: secrets.secret_hash(),
            next_hash: secrets.successor([1; 16]).secret_hash(),
            salt: [1; 16],
            now,
            expires_at: now + jiff::SignedDuration::from_hours(1),
        };
        store.rotate_session(rotation).await.unwrap()
    };
    assert!(matches!(rotate(noon()).await, RotateSession::Rotated(..)));
    assert!(matches!(rotate(noon()).await, RotateSession::Repeated(..)));
    assert_eq!(store.list_sessions(ada, noon()).await.unwrap().len(), 1);
    let later = noon() + jiff::SignedDuration::from_mins(1);
    assert_eq!(rotate(later).await, RotateSession::Reused(ada.user_id));
    for id in [Some(id), Some(SessionId(0)), None] {
        let again = RefreshSecrets::generate().unwrap();
        store.create_session(new(&again)).await.unwrap().unwrap();
        store.end_sessions(ada, id).await.unwrap();
    }
}

async fn run_posts(store: &FreshStore, ada: Caller) {
    let post = store.create_post(ada, content("post", true), noon()).await.unwrap().id;
    store.create_post(ada, content("draft", false), noon()).await.unwrap();
    store.find_post(ada, post).await.unwrap().unwrap();
    let seeing = Caller { draft_visibility: DraftVisibility::Visible, ..ada };
    for caller in [ada, seeing] {
        for scope in [PostScope::Public, PostScope::OwnDrafts] {
            for (limit, skip) in [(Some(5), 0), (Some(5), 2000), (None, 0)] {
                for text in [None, Some("st"), Some("post"), Some("draft")] {
                    let page = Page { limit, skip, scope, ..search(text.unwrap_or_default()) };
                    store.list_posts(caller, page).await.unwrap();
                }
            }
        }
    }
    store.cast_vote(ada, vote(post, 1)).await.unwrap();
    store.cast_vote(ada, vote(post, -1)).await.unwrap();
    store.cast_vote(ada, vote(post, 0)).await.unwrap();
    store.update_post(ada, post, content("replaced", true).into(), None).await.unwrap();
    let stranger = Caller { user_id: UserId(0), ..ada };
    store.update_post(stranger, post, content("replaced", true).into(), None).await.unwrap_err();
    store.delete_post(ada, post, None).await.unwrap();
}
