//! Accounts: sign-up, credentials, deletion.

use jiff::Timestamp;
use post_api::domain::caller::Caller;
use post_api::domain::display_name::NameChange;
use post_api::domain::email::{Email, TypedEmail};
use post_api::domain::page::Page;
use post_api::domain::post::{PostId, PostUpdate};
use post_api::domain::session::SessionId;
use post_api::domain::user::{NewUser, UserId};
use post_api::store::{CreateUser, DeleteUser, Readiness, StoreError};

use super::fresh_store::{
    FreshStore, assert_caller_rejected, content, email, hash, new_user, noon, search,
    seeing_drafts, vote,
};

pub async fn created_user_is_found_unchanged(store: &FreshStore) {
    let CreateUser::Created(created) = store.create_user(new_user("ada")).await.unwrap() else {
        panic!("the e-mail is taken in an empty store");
    };
    assert!(created.id.0 > 0);
    assert_eq!((created.email.as_str(), created.created_at), ("ada@example.com", noon()));
    assert_eq!(store.find_user(created.id).await.unwrap(), Some(created));
    for id in [0, -1, 4711, i64::MAX, i64::MIN] {
        assert_eq!(store.find_user(UserId(id)).await.unwrap(), None);
    }
}

pub async fn second_user_with_same_email_is_rejected(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let second = NewUser { password_hash: hash("another"), ..new_user("ada") };
    assert_eq!(store.create_user(second).await.unwrap(), CreateUser::EmailTaken);
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    assert_eq!((found.user_id, found.password_hash), (ada.user_id, hash("a hash")));
}

/// The collation of the database must not matter.
pub async fn emails_are_compared_exactly(store: &FreshStore) {
    let names = ["ada", "Ada", "adá", "ad\u{e1}\u{302}", "a.da", "ada+1", "straße", "strasse"];
    for name in names {
        let caller = store.sign_up(name).await;
        let found = store.find_credentials(email(name).into()).await.unwrap().unwrap();
        assert_eq!(found.user_id, caller.user_id, "{name}");
    }
}

/// An adopted database has e-mails that are no addresses, or not in their normal form.
pub async fn credentials_are_found_by_stored_text_first(store: &FreshStore) {
    let stored = ["admin", "bob@EXAMPLE.com", "Eve@EXAMPLE.com", "Eve@example.com", " x@example"];
    for text in stored {
        let email = Email::from_stored(text.to_owned());
        let user = NewUser { email, password_hash: hash(text), created_at: noon() };
        store.create_user(user).await.unwrap();
    }
    let long = "a".repeat(3000);
    for (typed, found) in [
        ("admin", Some("admin")),
        ("Admin", None),
        ("bob@EXAMPLE.com", Some("bob@EXAMPLE.com")),
        ("bob@example.com", None),
        ("Eve@EXAMPLE.com", Some("Eve@EXAMPLE.com")),
        ("Eve@example.com", Some("Eve@example.com")),
        ("Eve@EXAMPLE.COM", Some("Eve@example.com")),
        ("eve@example.com", None),
        (" x@example", Some(" x@example")),
        ("x@example", None),
        ("", None),
        ("\0", None),
        ("admin\0", None),
        (&long, None),
    ] {
        let credentials = store.find_credentials(TypedEmail::new(typed)).await.unwrap();
        assert_eq!(credentials.map(|it| it.password_hash), found.map(hash), "{typed:?}");
    }
}

/// The store must not report a database error as a taken e-mail.
pub async fn user_rejected_by_database_is_internal_error(store: &FreshStore) {
    store.reject_rows("users");
    let refused = store.create_user(new_user("ada")).await;
    assert!(matches!(refused, Err(StoreError::Internal(_))), "{refused:?}");
}

pub async fn credentials_are_found_by_email(store: &FreshStore) {
    for name in ["ada", "bob"] {
        let user = NewUser { password_hash: hash(name), ..new_user(name) };
        store.create_user(user).await.unwrap();
    }
    let found = store.find_credentials(email("bob").into()).await.unwrap().unwrap();
    assert_eq!(found.password_hash, hash("bob"));
    assert!(store.find_credentials(email("eve").into()).await.unwrap().is_none());
}

pub async fn password_hash_is_upgraded_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await.user_id;
    let bob = store.sign_up("bob").await;
    store.upgrade_password_hash(ada, hash("a hash"), hash("stronger")).await.unwrap();
    store.upgrade_password_hash(ada, hash("a hash"), hash("too late")).await.unwrap();
    let found = store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    assert_eq!(found.password_hash, hash("stronger"));
    let other = store.find_credentials(email("bob").into()).await.unwrap().unwrap();
    assert_eq!(other.password_hash, hash("a hash"));
    store.delete_user(bob, bob.user_id).await.unwrap();
    store.upgrade_password_hash(bob.user_id, hash("a hash"), hash("none")).await.unwrap();
    assert!(store.find_credentials(email("bob").into()).await.unwrap().is_none());
}

pub async fn deleting_user_deletes_its_posts_and_votes(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let hers = store.write(ada, "hers").await.id;
    let draft = store.draft(ada, "draft").await.id;
    let his = store.write(bob, "his").await.id;
    store.vote(bob, hers, 1).await;
    store.vote(ada, his, 1).await;
    assert_eq!(store.delete_user(ada, ada.user_id).await.unwrap(), DeleteUser::Deleted);
    assert_eq!(store.find_user(ada.user_id).await.unwrap(), None);
    assert!(store.find_credentials(email("ada").into()).await.unwrap().is_none());
    let all_seeing = seeing_drafts(bob);
    assert_eq!(store.read(all_seeing, hers).await, None);
    assert_eq!(store.read(all_seeing, draft).await, None);
    assert_eq!(store.titles(all_seeing, Page::default()).await, ["his"]);
    assert_eq!(store.count(bob, his).await, 0);
}

pub async fn user_can_be_deleted_only_by_itself(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    assert_eq!(store.delete_user(bob, ada.user_id).await.unwrap(), DeleteUser::NotOwner);
    assert!(store.find_user(ada.user_id).await.unwrap().is_some());
    assert!(store.find_user(bob.user_id).await.unwrap().is_some());
    let missing = UserId(bob.user_id.0 + 100);
    assert_eq!(store.delete_user(bob, missing).await.unwrap(), DeleteUser::NoSuchUser);
}

pub async fn email_of_deleted_user_is_free(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.delete_user(ada, ada.user_id).await.unwrap();
    let again = store.sign_up("ada").await;
    assert_ne!(again.user_id, ada.user_id);
    assert_caller_rejected(store.find_caller(ada).await);
    store.find_caller(again).await.unwrap();
}

/// A reused ID would make the tokens of the deleted account valid for the new one.
pub async fn id_of_deleted_user_is_never_reused(store: &FreshStore) {
    let mut last = 0;
    for round in 0..5 {
        let caller = store.sign_up(&format!("user{round}")).await;
        assert!(caller.user_id.0 > last);
        last = caller.user_id.0;
        store.delete_user(caller, caller.user_id).await.unwrap();
    }
}

pub async fn user_creation_time_keeps_microseconds(store: &FreshStore) {
    let times = [0, 1, 999_999, 1_738_324_800_000_000, 253_402_207_199_999_999, -1];
    for (number, microseconds) in times.into_iter().enumerate() {
        let created_at = Timestamp::from_microsecond(microseconds).unwrap();
        let user = NewUser { created_at, ..new_user(&format!("user{number}")) };
        let CreateUser::Created(created) = store.create_user(user).await.unwrap() else {
            panic!("the e-mail is taken");
        };
        let found = store.find_user(created.id).await.unwrap().unwrap();
        assert_eq!((created.created_at, found.created_at), (created_at, created_at));
    }
}

/// Every method that acts for a caller rejects it, and changes nothing.
pub async fn caller_without_account_is_rejected(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await;
    let rejected = store.deleted_caller().await;
    assert_rejected_everywhere(
        store,
        rejected,
        &[rejected.user_id, ada.user_id, UserId(0)],
        post.id,
    )
    .await;
    assert_eq!(store.read(ada, post.id).await.unwrap().post, post);
    assert_eq!(store.count(ada, post.id).await, 0);
    assert_eq!(store.titles(ada, Page::default()).await, ["post"]);
}

pub async fn assert_rejected_everywhere(
    store: &FreshStore,
    rejected: Caller,
    users: &[UserId],
    post: PostId,
) {
    assert_caller_rejected(store.find_caller(rejected).await);
    assert_caller_rejected(store.find_me(rejected).await);
    assert_caller_rejected(store.find_me_verified(rejected).await);
    assert_caller_rejected(store.find_own_credentials(rejected).await);
    assert_caller_rejected(store.change_password(rejected, hash("no"), noon()).await);
    for name in ["ada", "free"] {
        assert_caller_rejected(
            store.change_email(rejected, email(name), NameChange::Keep, noon()).await,
        );
    }
    assert_caller_rejected(store.change_name(rejected, None).await);
    assert_caller_rejected(store.find_votes(rejected, vec![post]).await);
    assert_caller_rejected(store.list_votes(rejected, 10, None).await);
    assert_caller_rejected(store.sign_out(rejected, noon()).await);
    assert_caller_rejected(store.list_sessions(rejected, noon()).await);
    assert_caller_rejected(store.list_events(rejected).await);
    for id in [None, Some(SessionId(1))] {
        assert_caller_rejected(store.end_sessions(rejected, id).await);
    }
    for user in users {
        assert_caller_rejected(store.delete_user(rejected, *user).await);
    }
    assert_caller_rejected(store.create_post(rejected, content("no", true), noon()).await);
    assert_caller_rejected(store.list_posts(rejected, Page::default()).await);
    for page in [
        Page { limit: Some(0), ..Page::default() },
        Page { limit: None, ..Page::default() },
        search("post"),
        search("po"),
    ] {
        assert_caller_rejected(store.list_posts(rejected, page).await);
    }
    let missing = PostId(post.0 + 100);
    for id in [post, missing] {
        assert_caller_rejected(store.find_post(rejected, id).await);
        assert_caller_rejected(
            store.update_post(rejected, id, content("no", true).into(), None).await,
        );
        assert_caller_rejected(store.update_post(rejected, id, PostUpdate::default(), None).await);
        assert_caller_rejected(store.delete_post(rejected, id, None).await);
        for dir in [1, -1, 0] {
            assert_caller_rejected(store.cast_vote(rejected, vote(id, dir)).await);
        }
    }
}

pub async fn fresh_store_is_ready(store: &FreshStore) {
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
}
