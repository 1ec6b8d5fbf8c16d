//! Display names: change, look-up, and what a closed account shows.

use post_api::domain::caller::Caller;
use post_api::domain::display_name::{DisplayName, NameChange};
use post_api::domain::user::{TokensValidFrom, UserId};
use post_api::store::ChangeEmail;

use super::deletions::delete;
use super::fresh_store::{FreshStore, email, noon, with_valid_from};

fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

/// Returns the name as the account and as the others see it. Fails if the two differ.
async fn shown_name(store: &FreshStore, caller: Caller) -> Option<String> {
    let own = store.find_me(caller).await.unwrap();
    let public = store.find_user(caller.user_id).await.unwrap().unwrap();
    let names = store.find_names(vec![caller.user_id]).await.unwrap();
    assert_eq!(own, public);
    assert_eq!(own.name.as_ref(), names.get(&caller.user_id));
    own.name.map(|name| name.as_str().to_owned())
}

pub async fn changed_name_is_found_unchanged(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let before = store.find_me(ada).await.unwrap();
    assert_eq!(before.name, None);
    for text in ["Ada", "Ada \u{1f469}\u{200d}\u{1f52c} \u{5d0}", "'; DROP TABLE users --", "Ada"] {
        let changed = store.change_name(ada, Some(name(text))).await.unwrap();
        assert_eq!(changed.name, Some(name(text)));
        assert_eq!((changed.id, &changed.email), (before.id, &before.email));
        assert_eq!(shown_name(store, ada).await.as_deref(), Some(text));
    }
    // A name need not be unique.
    store.change_name(bob, Some(name("Ada"))).await.unwrap();
    assert_eq!(store.change_name(ada, None).await.unwrap(), before);
    assert_eq!(shown_name(store, ada).await, None);
    assert_eq!(shown_name(store, bob).await.as_deref(), Some("Ada"));
}

pub async fn email_change_keeps_replaces_or_removes_the_name(store: &FreshStore) {
    let mut ada = store.sign_up("ada").await;
    store.change_name(ada, Some(name("Ada"))).await.unwrap();
    for (number, (change, shown)) in [
        (NameChange::Keep, Some("Ada")),
        (NameChange::Replace(Some(name("Countess"))), Some("Countess")),
        (NameChange::Replace(None), None),
        (NameChange::Keep, None),
    ]
    .into_iter()
    .enumerate()
    {
        let new = email(&format!("ada{number}"));
        let changed = store.change_email(ada, new, change, noon()).await.unwrap();
        let ChangeEmail::Changed(user, TokensValidFrom(valid_from)) = changed else {
            panic!("{changed:?}");
        };
        ada = with_valid_from(ada, TokensValidFrom(valid_from));
        assert_eq!(user.name.as_ref().map(DisplayName::as_str), shown, "{number}");
        assert_eq!(shown_name(store, ada).await.as_deref(), shown, "{number}");
    }
}

pub async fn names_of_several_accounts_are_found_together(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let eve = store.sign_up("eve").await;
    for (caller, text) in [(ada, "Ada"), (bob, "Bob")] {
        store.change_name(caller, Some(name(text))).await.unwrap();
    }
    let asked = vec![eve.user_id, bob.user_id, UserId(i64::MAX), ada.user_id, bob.user_id];
    let found = store.find_names(asked).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&ada.user_id], name("Ada"));
    assert_eq!(found[&bob.user_id], name("Bob"));
    assert!(store.find_names(Vec::new()).await.unwrap().is_empty());
}

pub async fn closed_account_shows_no_name(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    store.change_name(ada, Some(name("Ada"))).await.unwrap();
    // The row of the operator keeps the account closed and its rows where they are.
    store.execute(&format!(
        "CREATE TABLE kept (post_id bigint REFERENCES posts (id)); INSERT INTO kept VALUES ({})",
        post.0
    ));
    delete(store, ada).await;
    let kept = format!("SELECT count(*) FROM users WHERE id = {}", ada.user_id.0);
    assert_eq!(store.number(&kept), 1);
    let with_name = format!("{kept} AND name IS NOT NULL");
    assert_eq!(store.number(&with_name), 0, "the name of a closed account is still stored");
    store.execute(&format!("UPDATE users SET name = 'Ada' WHERE id = {}", ada.user_id.0));
    assert!(store.find_names(vec![ada.user_id, bob.user_id]).await.unwrap().is_empty());
    assert_eq!(store.find_user(ada.user_id).await.unwrap(), None);
}

/// The service shows what is stored: only its own changes follow the rules of a name.
pub async fn name_of_another_program_is_readable(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for text in [String::new(), "x".repeat(1000), "a\tb".to_owned()] {
        store.execute(&format!("UPDATE users SET name = '{text}' WHERE id = {}", ada.user_id.0));
        assert_eq!(shown_name(store, ada).await, Some(text));
    }
}
