//! Futures of the PostgreSQL store that are dropped at every await point. Each operation is done
//! whole or not at all, and no connection is left in a transaction.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use post_api::domain::page::Page;
use post_api::domain::post::{PostUpdate, Precondition};
use post_api::domain::user::NewUser;
use post_api::store::Store;
use post_api::store::postgres::PostgresStore;

use super::fresh_store::{FreshStore, content, email, hash, new_user, noon, search, text, vote};
use crate::support::{Cluster, PostgresDatabase};

/// Starts the operation again and again, and drops it after more and more polls, until it is done
/// before the drop. A round trip takes thousands of polls, so their number grows by a tenth.
async fn cancel_everywhere<F: Future>(start: impl Fn(usize) -> F) {
    let more = |polls: &usize| Some(polls + 1 + polls / 10);
    for polls in std::iter::successors(Some(1), more).take_while(|polls| *polls < 100_000_000) {
        let mut future = pin!(start(polls));
        for _ in 0..polls {
            let poll = poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
            if poll.await.is_ready() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
    panic!("the operation never ends");
}

fn assert_clean(database: &PostgresDatabase<'_>) {
    let open = database.query(
        "SELECT query FROM pg_stat_activity
          WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    );
    assert_eq!(open, [""; 0]);
    let wrong = database.query(
        "SELECT id FROM posts
          WHERE coalesce((SELECT votes FROM vote_counts WHERE post_id = id), 0)
             <> coalesce((SELECT sum(dir) FROM votes WHERE post_id = id), 0)",
    );
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn cancelled_operations_leave_nothing_half_done() {
    let database = Cluster::shared().database();
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&database.address()).unwrap());
    let store = FreshStore::shared(store);
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "a post").await.id;

    cancel_everywhere(|polls| {
        store.cast_vote(ada, vote(post, if polls % 2 == 0 { 1 } else { -1 }))
    })
    .await;
    cancel_everywhere(|_| store.cast_vote(ada, vote(post, 0))).await;
    cancel_everywhere(|polls| store.create_post(ada, content(&polls.to_string(), true), noon()))
        .await;
    cancel_everywhere(|polls| {
        store.update_post(ada, post, content(&polls.to_string(), true).into(), None)
    })
    .await;
    cancel_everywhere(|polls| {
        store.create_user(NewUser { email: email(&format!("u{polls}")), ..new_user("u") })
    })
    .await;
    cancel_everywhere(|_| store.upgrade_password_hash(ada.user_id, hash("a hash"), hash("b")))
        .await;
    cancel_everywhere(|_| store.find_post(ada, post)).await;
    cancel_everywhere(|_| store.find_caller(ada)).await;
    cancel_everywhere(|_| store.list_posts(ada, Page { limit: Some(5), ..Page::default() })).await;
    cancel_everywhere(|_| store.list_posts(ada, search("post"))).await;
    cancel_everywhere(|_| store.list_posts(ada, Page { limit: Some(5), ..search("post") })).await;
    cancel_everywhere(|_| store.list_posts(ada, Page::default())).await;
    cancel_everywhere(|_| store.find_credentials(email("ada").into())).await;
    assert_clean(&database);

    let any = || Some(Precondition::new(|_| true));
    cancel_everywhere(|polls| {
        let update =
            PostUpdate { title: Some(text(&format!("u{polls}"))), ..PostUpdate::default() };
        store.update_post(ada, post, update, any())
    })
    .await;
    cancel_everywhere(|_| store.delete_post(ada, post, any())).await;
    cancel_everywhere(|_| store.delete_user(ada, ada.user_id)).await;
    store.check_ready().await.unwrap();
    assert_clean(&database);
    let twice = database.query("SELECT title FROM posts GROUP BY title HAVING count(*) > 1");
    assert_eq!(twice, [""; 0]);
}
