//! Changes of an account that revoke its tokens: password, e-mail, sign-out.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use post_api::domain::caller::{Caller, ValidFromRange};
use post_api::domain::display_name::NameChange;
use post_api::domain::page::Page;
use post_api::domain::user::{Credentials, TokensValidFrom};
use post_api::store::{ChangeEmail, StoreError, VoteOutcome};

use super::fresh_store::{
    FreshStore, assert_caller_rejected, content, email, hash, noon, vote, with_valid_from,
};
use super::users::assert_rejected_everywhere;

/// Returns the caller with the token that a login would issue now.
async fn signed_in_again(store: &FreshStore, caller: Caller, name: &str) -> Caller {
    let found = store.find_credentials(email(name).into()).await.unwrap().unwrap();
    assert_eq!(found.user_id, caller.user_id);
    with_valid_from(caller, found.tokens_valid_from)
}

pub async fn sign_out_revokes_every_token(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await;
    store.vote(ada, post.id, 1).await;
    store.sign_out(ada, noon()).await.unwrap();
    assert_rejected_everywhere(store, ada, &[ada.user_id, bob.user_id], post.id).await;
    let again = signed_in_again(store, ada, "ada").await;
    assert_eq!(store.read(again, post.id).await.unwrap().post, post);
    assert_eq!(store.count(again, post.id).await, 1);
    assert_eq!(store.titles(again, Page::default()).await, ["post"]);
    assert_eq!(store.find_me(again).await.unwrap().id, ada.user_id);
    // Tokens of others stay valid.
    store.find_caller(bob).await.unwrap();
}

pub async fn password_change_revokes_every_token(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(bob, "post").await;
    let before = store.find_own_credentials(ada).await.unwrap();
    assert_eq!(before.password_hash, hash("a hash"));
    let tokens_valid_from = store.change_password(ada, hash("another"), noon()).await.unwrap();
    assert_rejected_everywhere(store, ada, &[ada.user_id], post.id).await;
    let Credentials { user_id, password_hash, tokens_valid_from } =
        store.find_own_credentials(with_valid_from(ada, tokens_valid_from)).await.unwrap();
    assert_eq!((user_id, tokens_valid_from), (ada.user_id, tokens_valid_from));
    assert_eq!(password_hash, hash("another"));
    let others = store.find_own_credentials(bob).await.unwrap();
    assert_eq!(others.password_hash, hash("a hash"));
}

pub async fn email_change_revokes_every_token(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(bob, "post").await;
    let changed =
        store.change_email(ada, email("countess"), NameChange::Keep, noon()).await.unwrap();
    let ChangeEmail::Changed(user, tokens_valid_from) = changed else { panic!("{changed:?}") };
    assert_eq!((user.id, user.email.as_str()), (ada.user_id, "countess@example.com"));
    assert_rejected_everywhere(store, ada, &[ada.user_id], post.id).await;
    assert_eq!(store.find_me(with_valid_from(ada, tokens_valid_from)).await.unwrap(), user);
    assert!(store.find_credentials(email("ada").into()).await.unwrap().is_none());
    // The old e-mail is free again.
    store.sign_up("ada").await;
}

pub async fn email_change_to_taken_email_is_rejected(store: &FreshStore) {
    let (ada, _bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let taken = store.change_email(ada, email("bob"), NameChange::Keep, noon()).await.unwrap();
    assert_eq!(taken, ChangeEmail::EmailTaken);
    assert_eq!(store.find_me(ada).await.unwrap().email, email("ada"));
    // Their own e-mail is allowed.
    let own = store.change_email(ada, email("ada"), NameChange::Keep, noon()).await.unwrap();
    assert!(matches!(own, ChangeEmail::Changed(..)), "{own:?}");
}

/// Holds even if the clock is set back. A smaller `tokens_valid_from` would revive revoked tokens.
pub async fn tokens_valid_from_only_grows(store: &FreshStore) {
    let mut ada = store.sign_up("ada").await;
    let mut last = TokensValidFrom::default();
    for seconds in [0, 0, -3600, 3600, 3600, -7200] {
        let now = noon() + SignedDuration::from_secs(seconds);
        let tokens_valid_from = store.change_password(ada, hash("another"), now).await.unwrap();
        assert!(tokens_valid_from > last, "{tokens_valid_from:?} after {last:?}");
        assert!(tokens_valid_from.0 >= now);
        assert_caller_rejected(store.find_caller(ada).await);
        ada = with_valid_from(ada, tokens_valid_from);
        last = tokens_valid_from;
    }
    store.sign_out(ada, noon()).await.unwrap();
    let again = signed_in_again(store, ada, "ada").await;
    assert!(again.valid_from_range.earliest() > last.0);
    let ChangeEmail::Changed(_, tokens_valid_from) =
        store.change_email(again, email("countess"), NameChange::Keep, noon()).await.unwrap()
    else {
        panic!("the e-mail is taken");
    };
    assert!(tokens_valid_from.0 > again.valid_from_range.earliest());
}

/// Another account may have had the same ID.
pub async fn token_older_than_its_account_is_rejected(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await;
    let issued_at = |seconds| {
        let time = noon() + SignedDuration::from_secs(seconds);
        Caller { valid_from_range: ValidFromRange::never_revoked(time), ..ada }
    };
    assert_rejected_everywhere(store, issued_at(-1), &[ada.user_id], post.id).await;
    for seconds in [0, 1, 1_000_000] {
        store.find_caller(issued_at(seconds)).await.unwrap();
        assert_eq!(store.read(issued_at(seconds), post.id).await.unwrap().post, post);
        store.vote(issued_at(seconds), post.id, 1).await;
    }
    // A revocation rejects all of them, even with a clock that is far behind.
    store.sign_out(ada, Timestamp::UNIX_EPOCH).await.unwrap();
    for seconds in [-1, 0, 1, 1_000_000] {
        assert_rejected_everywhere(store, issued_at(seconds), &[ada.user_id], post.id).await;
    }
}

/// Tokens of the reference service carry no `valid_from`; their issue time is a lower bound.
pub async fn token_without_valid_from_is_judged_by_issue_time(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let issued_at =
        |time: Timestamp| Caller { valid_from_range: ValidFromRange::estimated(time), ..ada };
    let post = store.write(issued_at(noon()), "post").await;
    store.sign_out(ada, noon()).await.unwrap();
    let before = issued_at(noon() - SignedDuration::from_micros(1));
    assert_rejected_everywhere(store, before, &[ada.user_id], post.id).await;
    for seconds in [0, 60] {
        let after = issued_at(noon() + SignedDuration::from_secs(seconds));
        store.find_caller(after).await.unwrap();
        assert!(store.read(after, post.id).await.is_some());
        store.vote(after, post.id, 1).await;
        assert_eq!(store.titles(after, Page::default()).await, ["post"]);
    }
}

pub async fn concurrent_sign_outs_with_one_token_succeed_once(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let outcomes = join_all((0..20).map(|_| store.sign_out(ada, noon()))).await;
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let is_rejected =
        |outcome: &&Result<(), StoreError>| matches!(outcome, Err(StoreError::CallerRejected));
    assert_eq!((done, outcomes.iter().filter(is_rejected).count()), (1, 19));
    let again = signed_in_again(store, ada, "ada").await;
    let changes = (0..20).map(|_| store.change_password(again, hash("another"), noon()));
    let done = join_all(changes).await.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(done, 1);
}

/// Holds even if votes of one user on one post are in the same batch.
pub async fn vote_with_revoked_token_is_rejected(store: &FreshStore) {
    let revoked = store.sign_up("ada").await;
    let bob = store.sign_up("bob").await;
    let posts = [store.write(bob, "a").await.id, store.write(bob, "b").await.id];
    store.sign_out(revoked, noon()).await.unwrap();
    let good = signed_in_again(store, revoked, "ada").await;
    for round in 0..10 {
        let callers = [good, revoked, good, revoked];
        let votes = |dir: i64| callers.map(|caller| (caller, vote(posts[round % 2], dir)));
        for dir in [1, -1, 1] {
            let bad = if round % 3 == 0 { -dir } else { dir };
            let mixed = votes(dir).map(|(caller, mut cast)| {
                if caller == revoked {
                    cast = vote(cast.post_id, bad);
                }
                store.cast_vote(caller, cast)
            });
            let outcomes = join_all(mixed).await;
            for (caller, outcome) in callers.into_iter().zip(outcomes) {
                if caller == revoked {
                    assert_caller_rejected(outcome);
                } else {
                    outcome.unwrap();
                }
            }
            assert_eq!(store.count(bob, posts[round % 2]).await, dir);
        }
        let withdrawals = votes(0).map(|(caller, vote)| store.cast_vote(caller, vote));
        let outcomes = join_all(withdrawals).await;
        let withdrawn = |outcome: &&Result<_, _>| matches!(outcome, Ok(VoteOutcome::Withdrawn));
        assert_eq!(outcomes.iter().filter(withdrawn).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 2);
        assert_eq!(store.count(bob, posts[round % 2]).await, 0);
    }
}

/// Holds even if they are in the same batch as valid posts of the same author.
pub async fn post_with_revoked_token_is_rejected(store: &FreshStore) {
    let revoked = store.sign_up("ada").await;
    store.sign_out(revoked, noon()).await.unwrap();
    let good = signed_in_again(store, revoked, "ada").await;
    for round in 0..5 {
        let callers = [revoked, good, revoked, good, good];
        let written = callers.iter().enumerate().map(|(number, caller)| {
            let title = format!("{round}/{number}");
            store.create_post(*caller, content(&title, true), noon())
        });
        let outcomes = join_all(written).await;
        for (number, (caller, outcome)) in callers.into_iter().zip(outcomes).enumerate() {
            if caller == revoked {
                assert_caller_rejected(outcome);
                continue;
            }
            let post = outcome.unwrap();
            assert_eq!(post.title.as_str(), format!("{round}/{number}"));
            assert_eq!(store.read(good, post.id).await.unwrap().post, post);
        }
    }
    assert_eq!(store.list_posts(good, Page::default()).await.unwrap().iter().count(), 15);
}
