//! The caller's own votes: look-up by posts, pages, and votes that are left out.

use post_api::domain::caller::Caller;
use post_api::domain::post::PostId;
use post_api::domain::vote::CastVote;
use post_api::store::page_limits::MAX_VOTES_READ;

use super::deletions::{delete, write_many};
use super::fresh_store::{FreshStore, content, seeing_drafts};

/// Returns the votes as IDs of posts with 1 or -1.
fn pairs(votes: &[CastVote]) -> Vec<(i64, i64)> {
    votes.iter().map(|vote| (vote.post_id.0, vote.direction.value())).collect()
}

/// Returns all votes of the caller, read in pages of this size, and the number of pages.
async fn walk(store: &FreshStore, caller: Caller, limit: u32) -> (Vec<(i64, i64)>, usize) {
    let (mut votes, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.list_votes(caller, limit, before).await.unwrap();
        assert!(page.votes.len() <= usize::try_from(limit).unwrap());
        votes.extend(pairs(&page.votes));
        pages += 1;
        match page.next {
            Some(next) => before = Some(next),
            None => return (votes, pages),
        }
    }
}

pub async fn own_votes_are_listed_newest_post_first(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let mut posts = Vec::new();
    for title in ["first", "second", "third", "fourth"] {
        posts.push(store.write(ada, title).await.id);
    }
    for (post, dir) in [(2, 1), (0, -1), (3, 1), (3, -1), (1, 1), (1, 0)] {
        store.vote(bob, posts[post], dir).await;
    }
    store.vote(ada, posts[1], 1).await;
    let page = store.list_votes(bob, 100, None).await.unwrap();
    assert_eq!(pairs(&page.votes), [(posts[3].0, -1), (posts[2].0, 1), (posts[0].0, -1)]);
    assert_eq!(page.next, None);
    let page = store.list_votes(bob, 100, Some(posts[2])).await.unwrap();
    assert_eq!(pairs(&page.votes), [(posts[0].0, -1)]);
    assert_eq!(walk(store, store.sign_up("eve").await, 100).await, (Vec::new(), 1));
}

pub async fn pages_of_own_votes_cover_all_of_them(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let mut expected = Vec::new();
    for number in 0..7 {
        let post = store.write(ada, "post").await.id;
        let dir = if number % 3 == 0 { -1 } else { 1 };
        store.vote(bob, post, dir).await;
        expected.insert(0, (post.0, dir));
    }
    // A full page has a next one, also if no vote is left.
    for (limit, pages) in [(1, 8), (2, 4), (7, 2), (8, 1), (1000, 1)] {
        assert_eq!(walk(store, bob, limit).await, (expected.clone(), pages), "{limit}");
    }
    assert_eq!(store.list_votes(bob, 0, None).await.unwrap().votes, []);
}

pub async fn vote_on_a_hidden_post_is_left_out(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let gone = store.sign_up("gone").await;
    let (shown, hidden) = (store.write(ada, "shown").await.id, store.write(ada, "hidden").await.id);
    let (own, closed) = (store.write(bob, "own").await.id, store.write(gone, "closed").await.id);
    let all = [shown, hidden, own, closed];
    for post in all {
        store.vote(bob, post, 1).await;
    }
    store.update_post(ada, hidden, content("hidden", false).into(), None).await.unwrap();
    store.update_post(bob, own, content("own", false).into(), None).await.unwrap();
    // The row of the operator keeps the post of the closed account.
    store.execute(&format!(
        "CREATE TABLE kept (post_id bigint REFERENCES posts (id)); INSERT INTO kept VALUES ({})",
        closed.0
    ));
    delete(store, gone).await;
    for (caller, visible) in
        [(bob, vec![own, shown]), (seeing_drafts(bob), vec![own, hidden, shown])]
    {
        let visible: Vec<_> = visible.into_iter().map(|post| (post.0, 1)).collect();
        let found = store.find_votes(caller, all.to_vec()).await.unwrap();
        assert_eq!(pairs(&found), visible);
        for limit in [1, 2, 3, 1000] {
            assert_eq!(walk(store, caller, limit).await.0, visible, "{limit}");
        }
    }
    store.update_post(ada, hidden, content("hidden", true).into(), None).await.unwrap();
    assert_eq!(walk(store, bob, 10).await.0.len(), 3);
}

pub async fn page_ends_after_two_thousand_hidden_votes(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let oldest = store.write(ada, "oldest").await.id;
    write_many(store, ada, MAX_VOTES_READ + 1, 1);
    let newest = store.write(ada, "newest").await.id;
    store.execute(&format!(
        "INSERT INTO votes (post_id, user_id, dir) SELECT id, {}, 1 FROM posts;
         UPDATE posts SET published = (1 = 0) WHERE id > {} AND id < {}",
        bob.user_id.0, oldest.0, newest.0
    ));
    let mut page = store.list_votes(bob, 2, None).await.unwrap();
    assert_eq!(pairs(&page.votes), [(newest.0, 1)]);
    // 1,999 hidden votes were read after the newest one, and two are left before the oldest one.
    let next = page.next.unwrap();
    let unread = format!("SELECT count(*) FROM votes WHERE post_id < {}", next.0);
    assert_eq!(store.number(&unread), 3);
    page = store.list_votes(bob, 2, Some(next)).await.unwrap();
    assert_eq!((pairs(&page.votes), page.next), (vec![(oldest.0, 1)], None));
    assert_eq!(walk(store, bob, 1).await.0, [(newest.0, 1), (oldest.0, 1)]);
}

pub async fn votes_are_found_on_the_given_posts_only(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let (first, second) = (store.write(ada, "first").await.id, store.write(ada, "second").await.id);
    let unvoted = store.write(ada, "unvoted").await.id;
    store.vote(bob, first, -1).await;
    store.vote(bob, second, 1).await;
    store.vote(ada, unvoted, 1).await;
    for (asked, found) in [
        (vec![], vec![]),
        (vec![unvoted], vec![]),
        (vec![first], vec![(first.0, -1)]),
        (vec![first, second, first], vec![(second.0, 1), (first.0, -1)]),
        (vec![PostId(0), PostId(-1), PostId(i64::MAX), PostId(i64::MIN)], vec![]),
    ] {
        let votes = store.find_votes(bob, asked.clone()).await.unwrap();
        assert_eq!(pairs(&votes), found, "{asked:?}");
    }
    // Concurrent look-ups of several callers share a statement.
    let posts = vec![first, second, unvoted];
    let (his, hers) =
        tokio::join!(store.find_votes(bob, posts.clone()), store.find_votes(ada, posts));
    assert_eq!(pairs(&his.unwrap()), [(second.0, 1), (first.0, -1)]);
    assert_eq!(pairs(&hers.unwrap()), [(unvoted.0, 1)]);
}
