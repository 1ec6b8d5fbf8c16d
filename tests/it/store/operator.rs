//! Accounts and posts as an operator manages them, next to a store that is open on the same database.

use post_api::auth::RefreshSecrets;
use post_api::domain::caller::Caller;
use post_api::domain::display_name::DisplayName;
use post_api::domain::email::TypedEmail;
use post_api::domain::event::{Event, EventKind};
use post_api::domain::page::Page;
use post_api::domain::post::PostId;
use post_api::domain::session::{NewSession, Rotation, SessionId};
use post_api::domain::user::{Account, TokensValidFrom, UserId};
use post_api::store::page_limits::PAGE_BYTES;
use post_api::store::{CreateUser, OperatorStore, RotateSession};

use super::deletions::{numbers, write_many};
use super::fresh_store::{
    FreshStore, assert_caller_rejected, content, email, hash, new_user, noon, with_valid_from,
};
use super::users::assert_rejected_everywhere;

const LAST: PostId = PostId(i64::MAX);

async fn find(operator: &mut dyn OperatorStore, typed: &str) -> Option<Account> {
    operator.find_account(&TypedEmail::new(typed)).await.unwrap()
}

fn new_session(caller: Caller, secrets: &RefreshSecrets) -> NewSession {
    NewSession {
        user_id: caller.user_id,
        tokens_valid_from: TokensValidFrom(caller.valid_from_range.earliest()),
        family_hash: secrets.family_hash(),
        secret_hash: secrets.secret_hash(),
        user_agent: String::new(),
        now: noon(),
        expires_at: noon() + jiff::SignedDuration::from_hours(1),
        ends_at: noon() + jiff::SignedDuration::from_hours(1),
    }
}

async fn rotate(store: &FreshStore, id: SessionId, secrets: &RefreshSecrets) -> RotateSession {
    let salt = [1; 16];
    let rotation = Rotation {
        id,
        family_hash: secrets.family_hash(),
        presented_hash: secrets.secret_hash(),
        next_hash: secrets.successor(salt).secret_hash(),
        salt,
        now: noon(),
        expires_at: noon() + jiff::SignedDuration::from_hours(1),
    };
    store.rotate_session(rotation).await.unwrap()
}

/// The column alone ends everything: another program that issues tokens does not know it.
pub async fn disabled_account_accepts_no_token_of_any_program(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await;
    let secrets = RefreshSecrets::generate().unwrap();
    let session = store.create_session(new_session(ada, &secrets)).await.unwrap().unwrap();
    let recipient = store.find_recipient(email("ada").into()).await.unwrap().unwrap();
    store.execute(&format!(
        "UPDATE users SET disabled_at = created_at WHERE id = {}",
        ada.user_id.0
    ));

    assert_rejected_everywhere(store, ada, &[ada.user_id, bob.user_id], post.id).await;
    assert!(store.find_credentials(email("ada").into()).await.unwrap().is_none());
    assert!(store.find_recipient(email("ada").into()).await.unwrap().is_none());
    assert!(store.find_recipient_by_id(ada.user_id).await.unwrap().is_none());
    assert!(!store.reset_password(recipient.clone(), hash("new"), noon()).await.unwrap());
    assert!(!store.verify_email(recipient, noon()).await.unwrap());
    assert_eq!(rotate(store, session, &secrets).await, RotateSession::NoSuchSession);
    assert!(store.create_session(new_session(ada, &secrets)).await.unwrap().is_none());
    // Others still see the account and its posts, and its e-mail stays taken.
    assert_eq!(store.read(bob, post.id).await.unwrap().post, post);
    assert_eq!(store.titles(bob, Page::default()).await, ["post"]);
    assert!(store.find_user(ada.user_id).await.unwrap().is_some());
    assert_eq!(store.create_user(new_user("ada")).await.unwrap(), CreateUser::EmailTaken);

    store.execute("UPDATE users SET disabled_at = NULL");
    store.find_caller(ada).await.unwrap();
    assert!(matches!(rotate(store, session, &secrets).await, RotateSession::Rotated(..)));
}

pub async fn disabling_revokes_tokens_and_enabling_restores_only_the_login(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = store.sign_up("ada").await;
    let secrets = RefreshSecrets::generate().unwrap();
    let session = store.create_session(new_session(ada, &secrets)).await.unwrap().unwrap();
    assert!(operator.disable_account(ada.user_id, noon()).await.unwrap());
    assert_eq!(find(&mut *operator, "ada@example.com").await.unwrap().disabled_at, Some(noon()));
    assert!(store.find_credentials(email("ada").into()).await.unwrap().is_none());
    // The time of a second command is not that of the first.
    let later = noon() + jiff::SignedDuration::from_secs(1);
    assert!(operator.disable_account(ada.user_id, later).await.unwrap());
    assert_eq!(find(&mut *operator, "ada@example.com").await.unwrap().disabled_at, Some(noon()));

    assert!(operator.enable_account(ada.user_id).await.unwrap());
    assert_eq!(find(&mut *operator, "ada@example.com").await.unwrap().disabled_at, None);
    assert_caller_rejected(store.find_caller(ada).await);
    assert_eq!(rotate(store, session, &secrets).await, RotateSession::NoSuchSession);
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    assert_eq!(found.tokens_valid_from, TokensValidFrom::revoked_at(later));
    store.find_caller(with_valid_from(ada, found.tokens_valid_from)).await.unwrap();
}

pub async fn new_password_revokes_every_token(store: &FreshStore) {
    let mut operator = store.operator();
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    assert!(operator.set_password(ada.user_id, hash("another"), noon()).await.unwrap());
    assert_caller_rejected(store.find_caller(ada).await);
    store.find_caller(bob).await.unwrap();
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    assert_eq!(found.password_hash, hash("another"));
    let others = store.find_credentials(email("bob").into()).await.unwrap().unwrap();
    assert_eq!(others.password_hash, hash("a hash"));
}

pub async fn sign_out_revokes_the_tokens_of_one_account(store: &FreshStore) {
    let mut operator = store.operator();
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let secrets = RefreshSecrets::generate().unwrap();
    let session = store.create_session(new_session(ada, &secrets)).await.unwrap().unwrap();
    assert!(operator.sign_out_account(ada.user_id, noon()).await.unwrap());
    assert_caller_rejected(store.find_caller(ada).await);
    assert_eq!(rotate(store, session, &secrets).await, RotateSession::NoSuchSession);
    store.find_caller(bob).await.unwrap();
    // Again in the same second: tokens from between the two are revoked too.
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    let newer = with_valid_from(ada, found.tokens_valid_from);
    store.find_caller(newer).await.unwrap();
    assert!(operator.sign_out_account(ada.user_id, noon()).await.unwrap());
    assert_caller_rejected(store.find_caller(newer).await);
}

pub async fn account_is_found_as_typed_before_its_normal_form(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = store.sign_up("ada").await;
    let found = find(&mut *operator, "ada@EXAMPLE.com").await.unwrap();
    assert_eq!((found.user.id, found.user.created_at), (ada.user_id, noon()));
    store.execute(
        "INSERT INTO users (email, password, created_at)
         SELECT 'ada@EXAMPLE.com', password, created_at FROM users",
    );
    assert_ne!(find(&mut *operator, "ada@EXAMPLE.com").await.unwrap().user.id, ada.user_id);
    for unknown in ["eve@example.com", "", "\0", "@"] {
        assert_eq!(find(&mut *operator, unknown).await, None, "{unknown:?}");
    }
}

pub async fn account_added_by_operator_is_stored_like_a_sign_up(store: &FreshStore) {
    let mut operator = store.operator();
    let added = operator.add_account(new_user("ada")).await.unwrap();
    let CreateUser::Created(user) = added else { panic!("{added:?}") };
    assert_eq!(store.find_user(user.id).await.unwrap(), Some(user.clone()));
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    assert_eq!(found.tokens_valid_from, TokensValidFrom::of_new_account(noon()));
    assert_eq!(operator.add_account(new_user("ada")).await.unwrap(), CreateUser::EmailTaken);
    assert_eq!(store.create_user(new_user("ada")).await.unwrap(), CreateUser::EmailTaken);
}

pub async fn unknown_and_closed_accounts_cannot_be_changed(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = store.sign_up("ada").await.user_id;
    assert!(operator.close_account(ada).await.unwrap());
    for id in [ada, UserId(0), UserId(i64::MAX)] {
        assert!(!operator.set_password(id, hash("another"), noon()).await.unwrap(), "{id:?}");
        assert!(!operator.sign_out_account(id, noon()).await.unwrap(), "{id:?}");
        assert!(!operator.disable_account(id, noon()).await.unwrap(), "{id:?}");
        assert!(!operator.enable_account(id).await.unwrap(), "{id:?}");
        assert!(!operator.close_account(id).await.unwrap(), "{id:?}");
        let event = Event { kind: EventKind::EnabledByOperator, at: noon(), client: None };
        operator.record_event(id, event).await.unwrap();
    }
    assert_eq!(operator.list_accounts(UserId(0)).await.unwrap(), []);
    // The open store may have deleted the row already.
    let changed = "users WHERE password <> 'closed' OR disabled_at IS NOT NULL";
    assert_eq!(store.count_rows(changed), 0);
    for id in [UserId(0), ada, ada] {
        operator.delete_rows(id).await.unwrap();
    }
    assert_eq!((store.count_rows("users"), store.count_rows("events")), (0, 0));
}

pub async fn accounts_are_listed_in_pages_by_id(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = store.sign_up("ada").await;
    store.change_name(ada, Some(DisplayName::parse("Ada").unwrap())).await.unwrap();
    store.execute(&format!(
        "INSERT INTO users (email, password, created_at)
         {} SELECT 'user' || n, 'a hash', created_at FROM numbers JOIN users ON users.id = {}",
        numbers(2100),
        ada.user_id.0
    ));
    let closed = store.sign_up("closed").await.user_id;
    operator.close_account(closed).await.unwrap();
    let (mut listed, mut after) = (Vec::new(), UserId(0));
    loop {
        let page = operator.list_accounts(after).await.unwrap();
        assert!(page.len() <= 1000, "{}", page.len());
        let Some(last) = page.last() else { break };
        after = last.user.id;
        listed.extend(page);
    }
    assert_eq!(listed.len(), 2101);
    assert!(listed.is_sorted_by(|one, other| one.user.id < other.user.id));
    let first = &listed[0];
    let name = first.user.name.as_ref().map(DisplayName::as_str);
    assert_eq!((first.user.email.as_str(), name), ("ada@example.com", Some("Ada")));
}

pub async fn posts_are_listed_with_drafts_newest_first(store: &FreshStore) {
    let mut operator = store.operator();
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let mut expected = Vec::new();
    for number in 0..6 {
        let author = if number % 3 == 0 { bob } else { ada };
        let new = content(&format!("post {number}"), number % 2 == 0);
        expected.insert(0, store.create_post(author, new, noon()).await.unwrap());
    }
    store.vote(bob, expected[1].id, 1).await;
    let all = operator.list_posts(None, LAST).await.unwrap();
    assert!(all.iter().map(|found| &found.post).eq(&expected), "{all:?}");
    assert_eq!(all[1].votes, 1);
    let hers = operator.list_posts(Some(ada.user_id), LAST).await.unwrap();
    let expected_hers: Vec<_> =
        expected.iter().filter(|post| post.owner_id == ada.user_id).collect();
    assert!(hers.iter().map(|found| &found.post).eq(expected_hers.iter().copied()), "{hers:?}");
    // The list continues, and a disabled account does not hide its posts.
    operator.disable_account(ada.user_id, noon()).await.unwrap();
    for owner in [None, Some(ada.user_id)] {
        let whole = operator.list_posts(owner, LAST).await.unwrap();
        for (index, found) in whole.iter().enumerate() {
            let rest = operator.list_posts(owner, found.post.id).await.unwrap();
            assert_eq!(rest, whole[index + 1..], "{owner:?}");
        }
    }
    assert_eq!(operator.list_posts(Some(UserId(0)), LAST).await.unwrap(), []);
}

/// Long posts do not take more memory than many short ones.
pub async fn page_of_posts_ends_after_eight_mebibytes(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = store.sign_up("ada").await;
    write_many(store, ada, 12, 1_500_000);
    for owner in [None, Some(ada.user_id)] {
        let (mut before, mut count) = (LAST, 0);
        loop {
            let page = operator.list_posts(owner, before).await.unwrap();
            let bytes: usize = page.iter().map(|found| found.post.byte_len()).sum();
            assert!(bytes < PAGE_BYTES + 1_600_000, "{bytes}");
            let Some(last) = page.last() else { break };
            (before, count) = (last.post.id, count + page.len());
        }
        assert_eq!(count, 12);
    }
}

pub async fn operator_deletes_any_post_with_its_votes(store: &FreshStore) {
    let mut operator = store.operator();
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (post, draft) = (store.write(ada, "post").await, store.draft(ada, "draft").await);
    let kept = store.write(bob, "kept").await;
    store.vote(bob, post.id, 1).await;
    store.vote(ada, kept.id, 1).await;
    for id in [post.id, draft.id] {
        assert_eq!(operator.delete_post(id).await.unwrap(), Some(ada.user_id));
        assert_eq!(operator.delete_post(id).await.unwrap(), None);
        assert_eq!(store.read(ada, id).await, None);
    }
    assert_eq!((store.count_rows("votes"), store.count(bob, kept.id).await), (1, 1));
    for id in [0, -1, i64::MAX] {
        assert_eq!(operator.delete_post(PostId(id)).await.unwrap(), None);
    }
}

/// More rows than a slice deletes.
pub async fn operator_deletes_an_account_with_all_its_rows(store: &FreshStore) {
    let mut operator = store.operator();
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let kept = store.write(bob, "kept").await;
    write_many(store, ada, 700, 10);
    store.execute(
        "INSERT INTO votes (post_id, user_id, dir)
         SELECT posts.id, users.id, 1 FROM posts CROSS JOIN users",
    );
    let id = ada.user_id;
    assert!(operator.close_account(id).await.unwrap());
    assert!(find(&mut *operator, "ada@example.com").await.is_none());
    assert_rejected_everywhere(store, ada, &[id], kept.id).await;
    operator.delete_rows(id).await.unwrap();
    for (table, rows) in [("users", 1), ("posts", 1), ("votes", 1), ("account_deletions", 0)] {
        assert_eq!(store.count_rows(table), rows, "{table}");
    }
    assert_eq!(store.count(bob, kept.id).await, 1);
    // Its e-mail is free again.
    store.sign_up("ada").await;
}

pub async fn event_of_operator_is_listed_for_the_account(store: &FreshStore) {
    let mut operator = store.operator();
    let ada = store.sign_up("ada").await;
    for kind in EventKind::ALL {
        let event = Event { kind, at: noon(), client: None };
        operator.record_event(ada.user_id, event).await.unwrap();
        assert_eq!(store.list_events(ada).await.unwrap()[0], event);
    }
}
