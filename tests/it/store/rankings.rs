//! The posts that rankings are made of, and lists in a given order.

use jiff::Timestamp;
use post_api::domain::caller::Caller;
use post_api::domain::page::Page;
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::PostId;
use post_api::store::RankSource;

use super::deletions::{delete, write_many};
use super::fresh_store::{FreshStore, content, seeing_drafts};

/// Returns IDs and votes, in the order of the IDs.
async fn ranked(store: &FreshStore, source: RankSource, sees_drafts: bool) -> Vec<(i64, i64)> {
    let drafts = if sees_drafts { DraftVisibility::Visible } else { DraftVisibility::Private };
    let posts = store.rank_posts(source, drafts).await.unwrap();
    let mut posts: Vec<_> = posts.iter().map(|post| (post.id.0, post.votes)).collect();
    posts.sort_unstable();
    posts
}

async fn write_voted(store: &FreshStore) -> (Caller, [i64; 4]) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let plain = store.write(ada, "plain").await.id;
    let liked = store.write(ada, "liked").await.id;
    let draft = store.draft(ada, "draft").await.id;
    let disliked = store.write(bob, "disliked").await.id;
    for caller in [ada, bob] {
        store.vote(caller, liked, 1).await;
        store.vote(caller, disliked, -1).await;
    }
    store.vote(ada, draft, 1).await;
    (bob, [plain, liked, draft, disliked].map(|id| id.0))
}

pub async fn rankings_have_the_votes_of_every_visible_post(store: &FreshStore) {
    let (bob, [plain, liked, draft, disliked]) = write_voted(store).await;
    for source in [RankSource::MostVoted, RankSource::Newest] {
        let public = [(plain, 0), (liked, 2), (disliked, -2)];
        assert_eq!(ranked(store, source, false).await, public, "{source:?}");
        let all = [(plain, 0), (liked, 2), (draft, 1), (disliked, -2)];
        assert_eq!(ranked(store, source, true).await, all, "{source:?}");
    }
    delete(store, bob).await;
    for source in [RankSource::MostVoted, RankSource::Newest] {
        assert_eq!(ranked(store, source, false).await, [(plain, 0), (liked, 1)], "{source:?}");
    }
}

pub async fn ranking_of_the_newest_has_their_times(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for microsecond in [5, 3] {
        let at = Timestamp::from_microsecond(microsecond).unwrap();
        store.create_post(ada, content("post", true), at).await.unwrap();
    }
    for source in [RankSource::MostVoted, RankSource::Newest] {
        let posts = store.rank_posts(source, DraftVisibility::Private).await.unwrap();
        let times = posts.iter().map(|post| post.created_at.as_microsecond());
        let mut times: Vec<i64> = times.collect();
        times.sort_unstable();
        assert_eq!(times, [3, 5], "{source:?}");
    }
}

/// No post is missing that has more votes than one in the ranking.
pub async fn ranking_of_most_votes_is_cut_at_the_last_count(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_many(store, ada, 20_010, 1);
    // The counts are written directly, because so many votes would take long.
    store.execute("INSERT INTO vote_counts SELECT id, 1 + id % 2 FROM posts");
    store.write(ada, "without votes").await;
    let posts = ranked(store, RankSource::MostVoted, false).await;
    assert_eq!(posts.len(), 20_000);
    assert!(posts.iter().all(|(_, votes)| *votes > 0));
    store.execute("UPDATE vote_counts SET votes = -1");
    let posts = ranked(store, RankSource::MostVoted, false).await;
    assert_eq!(posts.iter().filter(|(_, votes)| *votes == 0).count(), 1);
}

pub async fn list_of_ids_has_visible_posts_in_their_order(store: &FreshStore) {
    let (bob, ids) = write_voted(store).await;
    let [plain, liked, draft, disliked] = ids;
    let listed = [liked, 4711, draft, plain, disliked].map(PostId).to_vec();
    let page = Page { limit: Some(5), ids: Some(listed), ..Page::default() };
    assert_eq!(store.titles(bob, page.clone()).await, ["liked", "plain", "disliked"]);
    let all = store.titles(seeing_drafts(bob), page.clone()).await;
    assert_eq!(all, ["liked", "draft", "plain", "disliked"]);
    delete(store, bob).await;
    let eve = store.sign_up("eve").await;
    assert_eq!(store.titles(eve, page).await, ["liked", "plain"]);
    let none = Page { limit: Some(0), ids: Some(Vec::new()), ..Page::default() };
    assert!(store.titles(eve, none).await.is_empty());
}
