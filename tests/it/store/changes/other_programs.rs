//! Writes of other programs, such as `psql` and `sqlite3`.

use post_api::domain::change::{ChangeSubject, PostChangeKind};
use post_api::domain::post::PostId;
use post_api::domain::user::UserId;

use super::{changes_since, created, deleted, listen, log_since, updated, voted};
use crate::store::fresh_store::{FreshStore, sqlite};

pub async fn writes_of_other_programs_are_logged(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let id = store.write(ada, "post").await.id.0 + 1;
    let post = PostId(id);
    let start = listen(store).await;
    for (sql, subject) in [
        (
            format!(
                "INSERT INTO posts (id, title, content, created_at, owner_id)
                 SELECT {id}, 'a', 'b', created_at, id FROM users"
            ),
            created(post),
        ),
        (format!("INSERT INTO votes (post_id, user_id) SELECT {id}, id FROM users"), voted(post)),
        (format!("UPDATE posts SET title = 'c' WHERE id = {id}"), updated(post, true)),
        (format!("UPDATE posts SET published = FALSE WHERE id = {id}"), updated(post, true)),
        (format!("UPDATE posts SET content = 'd' WHERE id = {id}"), updated(post, false)),
        (format!("DELETE FROM posts WHERE id = {id}"), deleted(post, false)),
        ("DELETE FROM users".to_owned(), ChangeSubject::TokensRevoked(ada.user_id)),
    ] {
        store.execute(&sql);
        let logged = changes_since(store, start).await;
        assert!(logged.contains(&subject), "{sql}: {logged:?}");
    }
}

/// The `hello` of a stream promises every change, also one of `psql` or `sqlite3`.
pub async fn keys_that_other_programs_change_are_logged(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let eve = store.sign_up("eve").await.user_id.0;
    let (post, draft) = (store.write(ada, "post").await.id, store.draft(ada, "draft").await.id);
    let [other, last] = [PostId(draft.0 + 100), PostId(draft.0 + 101)];
    let bob = bob.user_id.0;
    let update =
        |change: &str, id: PostId| format!("UPDATE posts SET {change} WHERE id = {}", id.0);
    let renumber = |from: PostId, to: PostId| update(&format!("id = {}", to.0), from);
    for (sql, expected) in [
        (renumber(post, other), vec![deleted(post, true), created(other)]),
        (renumber(draft, post), vec![deleted(draft, false), created(post)]),
        (
            update(&format!("published = FALSE, id = {}", last.0), other),
            vec![deleted(other, true), created(last)],
        ),
        (update(&format!("owner_id = {bob}"), last), vec![updated(last, false)]),
        (update(&format!("owner_id = {bob}"), last), vec![]),
        (
            update("created_at = (SELECT max(at) FROM post_changes)", last),
            vec![updated(last, false)],
        ),
        (
            format!("UPDATE users SET id = {} WHERE id = {eve}", eve + 100),
            vec![ChangeSubject::TokensRevoked(UserId(eve))],
        ),
    ] {
        let start = listen(store).await;
        store.execute(&sql);
        let logged = changes_since(store, start).await;
        for subject in &expected {
            assert!(logged.contains(subject), "{sql}: {logged:?}");
        }
        assert_eq!(logged.is_empty(), expected.is_empty(), "{sql}: {logged:?}");
        // A client must not learn the ID of a post that it never saw.
        let hidden =
            ChangeSubject::Post { id: last, kind: PostChangeKind::Deleted { was_published: true } };
        assert!(!logged.contains(&hidden) && !logged.contains(&updated(last, true)), "{logged:?}");
    }
}

/// Without recursive triggers no trigger for deletions sees the rows that are replaced.
#[tokio::test]
async fn replaced_rows_are_logged() {
    let store = sqlite().await;
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let post = store.write(ada, "post").await.id;
    let draft = store.draft(ada, "draft").await.id;
    let owner = bob.user_id.0;
    let replace = |id: PostId, published: bool| {
        format!(
            "REPLACE INTO posts (id, title, content, published, created_at, owner_id)
             VALUES ({}, 'a', 'b', {published}, 1, {owner})",
            id.0
        )
    };
    let [other, fresh] = [PostId(draft.0 + 1), PostId(draft.0 + 100)];
    let revoked = |id| ChangeSubject::TokensRevoked(UserId(id));
    let renumber = format!("UPDATE OR REPLACE posts SET id = {} WHERE id = {}", post.0, other.0);
    let email = "(SELECT email FROM users WHERE id = 2)";
    for (sql, expected) in [
        (replace(post, true), vec![deleted(post, true), created(post)]),
        (replace(post, false), vec![deleted(post, true), created(post)]),
        (replace(post, true), vec![deleted(post, false), created(post)]),
        (replace(draft, true), vec![deleted(draft, false), created(draft)]),
        (replace(fresh, true), vec![created(fresh)]),
        (replace(other, false), vec![created(other)]),
        (renumber, vec![deleted(post, true), deleted(other, false), created(post)]),
        (
            format!(
                "PRAGMA foreign_keys = OFF;
                 REPLACE INTO users (id, email, password, created_at)
                 SELECT id, email, password, created_at FROM users WHERE id = {owner}"
            ),
            vec![revoked(owner)],
        ),
        (
            format!(
                "PRAGMA foreign_keys = OFF;
                 REPLACE INTO users (email, password, created_at) VALUES ({email}, 'x', 1)"
            ),
            vec![revoked(2)],
        ),
        (
            format!(
                "PRAGMA foreign_keys = OFF;
                 UPDATE OR REPLACE users SET email = (SELECT max(email) FROM users WHERE id <> {0})
                  WHERE id = {0}",
                ada.user_id.0
            ),
            vec![revoked(3)],
        ),
    ] {
        let start = listen(&store).await;
        store.execute(&sql);
        assert_eq!(log_since(&store, start).await, expected, "{sql}");
    }
}
