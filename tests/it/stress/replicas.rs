//! Clients of two replicas cast, change and withdraw votes on the same few posts. The server finds no
//! deadlock, and the counts are right. The part reports the votes of two replicas per vote of one.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use post_api::clock::Clock as _;
use post_api::domain::caller::{Caller, ValidFromRange};
use post_api::domain::email::Email;
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::{PostContent, PostId};
use post_api::domain::text::Text;
use post_api::domain::user::{NewUser, PasswordHash};
use post_api::domain::vote::{Direction, Vote};
use post_api::store::migrate::SchemaAdmin as _;
use post_api::store::postgres::{PostgresAdmin, PostgresStore};
use post_api::store::{CreateUser, PostStore as _, UserStore as _, VoteStore as _};

use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, PostgresDatabase, TestClock};

const CLIENTS: usize = 40;
const POSTS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_of_two_replicas_never_deadlock() {
    let mut budget = Budget::new("votes, two replicas", 2);
    // A wait that lasts this long is checked for a deadlock.
    let cluster = Cluster::start("deadlock_timeout = 10ms\n");
    let database = cluster.database();
    let open = || Arc::new(PostgresStore::open(&database.address()).unwrap());
    let replicas = [open(), open()];
    let (callers, posts) = prepare(&replicas[0]).await;
    let votes = budget.size(20, 2000);
    let (mut alone, mut half, mut together) = (0.0, 0.0, 0.0);
    while let Some(seed) = budget.next_round() {
        alone += vote(&replicas[..1], &callers, &posts, votes, seed).await;
        // As many votes by half the clients: a batch has as many votes as with two replicas.
        half += vote(&replicas[..1], &callers[..CLIENTS / 2], &posts, 2 * votes, seed).await;
        together += vote(&replicas, &callers, &posts, votes, seed).await;
        let log = std::fs::read_to_string(cluster.folder().join("log")).unwrap();
        assert!(!log.contains("deadlock detected"), "{}: {log}", budget.name_round());
        assert_counts_are_right(&database, &budget.name_round()).await;
    }
    budget.report("votes", 2 * CLIENTS * votes * usize::try_from(budget.rounds()).unwrap());
    budget.report("speed of two replicas, of one", format!("{:.2}", alone / together));
    budget.report("speed of half the clients, of all", format!("{:.2}", alone / half));
}

async fn prepare(store: &PostgresStore) -> (Vec<Caller>, Vec<PostId>) {
    let now = TestClock::default().now();
    let (mut callers, mut posts) = (Vec::new(), Vec::new());
    for number in 0..CLIENTS {
        let user = NewUser {
            email: Email::parse(&format!("voter{number}@example.com")).unwrap(),
            password_hash: PasswordHash::new("a hash".to_owned()),
            created_at: now,
        };
        let CreateUser::Created(user) = store.create_user(user).await.unwrap() else { panic!() };
        callers.push(Caller {
            user_id: user.id,
            draft_visibility: DraftVisibility::Private,
            valid_from_range: ValidFromRange::default(),
        });
    }
    for _ in 0..POSTS {
        let text = || Text::parse("text").unwrap();
        let content = PostContent { title: text(), content: text(), published: true };
        posts.push(store.create_post(callers[0], content, now).await.unwrap().id);
    }
    (callers, posts)
}

/// Each client casts this many votes, one after the other. Returns the seconds that it took.
async fn vote(
    replicas: &[Arc<PostgresStore>],
    callers: &[Caller],
    posts: &[PostId],
    votes: usize,
    seed: u64,
) -> f64 {
    let start = Instant::now();
    let clients =
        callers.iter().zip(replicas.iter().cycle()).zip(seed..).map(|((caller, replica), seed)| {
            let replica = Arc::clone(replica);
            let (caller, posts) = (*caller, posts.to_vec());
            let mut rng = Rng::new(seed);
            tokio::spawn(async move {
                for _ in 0..votes {
                    let post_id = posts[usize::try_from(rng.below(POSTS)).unwrap()];
                    let direction = match rng.below(3) {
                        0 => None,
                        1 => Some(Direction::Up),
                        _ => Some(Direction::Down),
                    };
                    replica.cast_vote(caller, Vote { post_id, direction }).await.unwrap();
                }
            })
        });
    for client in join_all(clients).await {
        client.unwrap();
    }
    start.elapsed().as_secs_f64()
}

async fn assert_counts_are_right(database: &PostgresDatabase<'_>, round: &str) {
    let mut admin = PostgresAdmin::connect(&database.address()).await.unwrap();
    assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0], "{round}");
}
