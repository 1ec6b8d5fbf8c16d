//! The store on an adopted database, whose IDs are `integer` and texts `varchar`.

use post_api::domain::post::PostId;
use post_api::domain::user::UserId;
use post_api::store::migrate::{POSTGRES, SchemaAdmin as _, migrate};
use post_api::store::postgres::{PostgresAdmin, PostgresStore};
use post_api::store::{DeleteUser, PostStore as _, UserStore as _, VoteOutcome, VoteStore as _};

use super::fresh_store::{caller, content, email, noon, search, vote};
use crate::support::Cluster;

const REFERENCE: &str = include_str!("../data/reference.sql");

#[tokio::test]
async fn adopted_database_can_be_served() {
    let database = Cluster::shared().empty_database();
    database.execute(REFERENCE);
    let mut admin = PostgresAdmin::connect(&database.address()).await.unwrap();
    migrate(&mut admin, POSTGRES.len(), noon(), |_| {}).await.unwrap();
    let store = PostgresStore::open(&database.address()).unwrap();

    let (first, second) = (caller(UserId(1)), caller(UserId(2)));
    let found = store.find_post(first, PostId(3)).await.unwrap().unwrap();
    assert_eq!((found.votes, found.post.owner_id), (3, UserId(4)));
    let credentials = store.find_credentials(email("user2").into()).await.unwrap().unwrap();
    assert_eq!(credentials.user_id, UserId(2));
    let written = store.create_post(first, content("Post of ours", true), noon()).await.unwrap();
    assert_eq!(written.id, PostId(41));
    assert_eq!(store.cast_vote(second, vote(written.id, -1)).await.unwrap(), VoteOutcome::Added);
    assert_eq!(store.cast_vote(second, vote(written.id, 0)).await.unwrap(), VoteOutcome::Withdrawn);
    let hits = store.list_posts(second, search("Post of")).await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.post.id).collect::<Vec<_>>(), [PostId(41)]);
    assert_eq!(store.delete_user(first, UserId(1)).await.unwrap(), DeleteUser::Deleted);
    assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0]);
}
