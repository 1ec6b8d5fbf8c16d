//! Recipients of mail, and what a link in a mail changes.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use post_api::domain::display_name::NameChange;
use post_api::domain::email::{Email, TypedEmail};
use post_api::domain::recipient::Recipient;
use post_api::domain::user::{NewUser, TokensValidFrom, UserId};
use post_api::store::{ChangeEmail, CreateUser};

use super::fresh_store::{FreshStore, email, hash, new_user, noon, with_valid_from};
use super::users::assert_rejected_everywhere;

fn later(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

async fn recipient(store: &FreshStore, name: &str) -> Recipient {
    store.find_recipient(email(name).into()).await.unwrap().unwrap()
}

/// Returns the recipient with one other value each.
fn changed(recipient: &Recipient) -> [Recipient; 4] {
    let mut others = [(); 4].map(|()| recipient.clone());
    others[0].email = email("other");
    others[1].credentials.password_hash = hash("other");
    others[2].credentials.user_id = UserId(4711);
    let valid_from = recipient.credentials.tokens_valid_from.0;
    others[3].credentials.tokens_valid_from =
        TokensValidFrom(valid_from + SignedDuration::from_micros(1));
    others
}

pub async fn recipient_has_the_values_of_the_account(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let by_email = recipient(store, "ada").await;
    let by_id = store.find_recipient_by_id(ada.user_id).await.unwrap().unwrap();
    let credentials = store.find_own_credentials(ada).await.unwrap();
    for found in [by_email, by_id] {
        assert_eq!(found.email, email("ada"));
        assert_eq!(found.credentials.user_id, ada.user_id);
        assert_eq!(found.credentials.password_hash, hash("a hash"));
        assert_eq!(found.credentials.tokens_valid_from, credentials.tokens_valid_from);
    }
    assert!(store.find_recipient(email("bob").into()).await.unwrap().is_none());
    assert!(store.find_recipient(TypedEmail::new("\0")).await.unwrap().is_none());
    assert!(store.find_recipient_by_id(UserId(4711)).await.unwrap().is_none());
    assert!(store.find_recipient_by_id(UserId(i64::MAX)).await.unwrap().is_none());
}

pub async fn recipient_is_found_as_typed_before_its_normal_form(store: &FreshStore) {
    let typed = Email::from_stored("ada@EXAMPLE.com".to_owned());
    let user = NewUser { email: typed.clone(), ..new_user("x") };
    let CreateUser::Created(first) = store.create_user(user).await.unwrap() else { panic!() };
    let second = store.sign_up("ada").await;
    for (text, id) in [
        ("ada@EXAMPLE.com", first.id),
        ("ada@example.com", second.user_id),
        ("ada@Example.com", second.user_id),
    ] {
        let found = store.find_recipient(TypedEmail::new(text)).await.unwrap().unwrap();
        assert_eq!(found.credentials.user_id, id, "{text}");
    }
}

pub async fn closed_account_is_no_recipient(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let old = recipient(store, "ada").await;
    store.delete_user(ada, ada.user_id).await.unwrap();
    assert!(store.find_recipient(email("ada").into()).await.unwrap().is_none());
    assert!(store.find_recipient_by_id(ada.user_id).await.unwrap().is_none());
    assert!(!store.reset_password(old.clone(), hash("new"), noon()).await.unwrap());
    assert!(!store.verify_email(old, noon()).await.unwrap());
}

pub async fn reset_replaces_the_password_and_revokes_every_token(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(bob, "post").await;
    let old = recipient(store, "ada").await;
    assert!(store.reset_password(old.clone(), hash("new"), later(1)).await.unwrap());
    assert_rejected_everywhere(store, ada, &[ada.user_id], post.id).await;
    store.find_caller(bob).await.unwrap();
    let new = recipient(store, "ada").await;
    assert_eq!(new.credentials.password_hash, hash("new"));
    assert!(new.credentials.tokens_valid_from > old.credentials.tokens_valid_from);
    let again = with_valid_from(ada, new.credentials.tokens_valid_from);
    let (user, verified_at) = store.find_me_verified(again).await.unwrap();
    assert_eq!((user.email, verified_at), (email("ada"), Some(later(1))));
    // The values of the old one are gone.
    assert!(!store.reset_password(old.clone(), hash("newer"), later(2)).await.unwrap());
    assert!(!store.verify_email(old, later(2)).await.unwrap());
    // tokens_valid_from increases even if the clock went back.
    assert!(store.reset_password(new.clone(), hash("newest"), later(-9)).await.unwrap());
    let newest = recipient(store, "ada").await.credentials.tokens_valid_from;
    assert!(newest > new.credentials.tokens_valid_from);
}

pub async fn recipient_with_another_value_changes_nothing(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.sign_up("bob").await;
    for other in changed(&recipient(store, "ada").await) {
        assert!(!store.reset_password(other.clone(), hash("new"), noon()).await.unwrap());
        assert!(!store.verify_email(other.clone(), noon()).await.unwrap(), "{other:?}");
    }
    let (_, verified_at) = store.find_me_verified(ada).await.unwrap();
    assert_eq!(verified_at, None);
    assert_eq!(store.find_own_credentials(ada).await.unwrap().password_hash, hash("a hash"));
}

pub async fn concurrent_resets_change_the_password_once(store: &FreshStore) {
    store.sign_up("ada").await;
    let old = recipient(store, "ada").await;
    let resets = (0..8)
        .map(|number| store.reset_password(old.clone(), hash(&format!("new {number}")), later(1)));
    let done = join_all(resets).await.into_iter().filter(|done| *done.as_ref().unwrap()).count();
    assert_eq!(done, 1);
}

pub async fn verification_stays_until_the_email_changes(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    assert_eq!(store.find_me_verified(ada).await.unwrap().1, None);
    for seconds in [1, 2] {
        let found = recipient(store, "ada").await;
        assert!(store.verify_email(found, later(seconds)).await.unwrap());
        assert_eq!(store.find_me_verified(ada).await.unwrap().1, Some(later(1)));
    }
    // The same e-mail, and a name, are no change.
    let mut caller = ada;
    for (name, verified_at) in [("ada", Some(later(1))), ("countess", None)] {
        let changed = store.change_email(caller, email(name), NameChange::Keep, noon()).await;
        let ChangeEmail::Changed(_, valid_from) = changed.unwrap() else { panic!("{name}") };
        caller = with_valid_from(caller, valid_from);
        assert_eq!(store.find_me_verified(caller).await.unwrap().1, verified_at, "{name}");
    }
    store.change_name(caller, None).await.unwrap();
    store.find_me_verified(ada).await.unwrap_err();
}
