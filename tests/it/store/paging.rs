//! Pages: positions, directions and filters, compared with a sorted list, and walks while others
//! write.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use post_api::domain::caller::Caller;
use post_api::domain::page::{Page, PageEnd, PostOrder, PostScope, TimeRange};
use post_api::domain::post::{PostContent, PostWithVotes};
use post_api::domain::user::UserId;

use super::deletions::{delete, write_many};
use super::fresh_store::{FreshStore, content, noon, search, seeing_drafts, text};
use crate::stress::rng::Rng;

/// Returns the page and the pages after it, and fails if one of them is longer than its limit.
async fn walk(store: &FreshStore, caller: Caller, first: Page) -> Vec<PostWithVotes> {
    let (mut page, mut walked) = (first, Vec::new());
    for _ in 0..10_000 {
        let posts = store.list_posts(caller, page.clone()).await.unwrap();
        assert!(posts.len() <= usize::try_from(page.limit.unwrap()).unwrap(), "{page:?}");
        walked.extend(posts.iter().cloned());
        let next = page.neighbours(&posts, posts.end(&page)).next;
        let Some(position) = next else { return walked };
        page = Page { skip: 0, position: Some(position), ..page };
    }
    panic!("the walk has no end: {page:?}");
}

/// Returns the pages before the page, in the order of the list.
async fn walk_back(store: &FreshStore, caller: Caller, last: Page) -> Vec<PostWithVotes> {
    let (mut page, mut walked) = (last, Vec::new());
    loop {
        let posts = store.list_posts(caller, page.clone()).await.unwrap();
        if page.is_backward() {
            walked.splice(0..0, posts.iter().cloned());
        }
        let end = posts.end(&page);
        let previous = page.neighbours(&posts, end).previous;
        let is_start = page.is_backward() && end == PageEnd::EndOfList;
        let Some(position) = previous.filter(|_| !is_start) else { return walked };
        page = Page { skip: 0, position: Some(position), ..page };
    }
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap()
}

/// Returns a number from `from` up to, and without, `to`.
fn between(rng: &mut Rng, from: i64, to: i64) -> i64 {
    from + i64::try_from(below(rng, usize::try_from(to - from).unwrap())).unwrap()
}

fn at(microsecond: i64) -> Timestamp {
    Timestamp::from_microsecond(microsecond).unwrap()
}

/// The times of the posts, in microseconds after noon. Some posts have the same time, and the times
/// do not ascend with the IDs.
const MOMENTS: [i64; 5] = [3, 0, 5, 3, 4];

/// Writes posts and drafts of several users at different times.
async fn write_mixed(store: &FreshStore, authors: &[Caller], count: usize) {
    for number in 0..count {
        let moment = MOMENTS[number % MOMENTS.len()] + i64::try_from(number / 20).unwrap();
        let created_at = noon().as_microsecond() + moment;
        let post = content(&format!("title {number}"), number % 3 > 0);
        let author = authors[number % authors.len()];
        store.create_post(author, post, at(created_at)).await.unwrap();
    }
}

/// Returns the posts of the list, by its definition.
fn expected(all: &[PostWithVotes], caller: Caller, page: &Page) -> Vec<PostWithVotes> {
    let sees_drafts = caller == seeing_drafts(caller);
    let is_listed = |found: &&PostWithVotes| {
        let post = &found.post;
        let created = post.created_at.as_microsecond();
        let is_in_scope = match page.scope {
            PostScope::OwnDrafts => !post.published && post.owner_id == caller.user_id,
            PostScope::Public => post.published || sees_drafts,
        };
        is_in_scope
            && page.owner.is_none_or(|owner| post.owner_id == owner)
            && page.created.is_none_or(|times| (times.from..=times.to).contains(&created))
            && page.searched().is_none_or(|text| post.title.as_str().contains(text))
    };
    let mut listed: Vec<PostWithVotes> = all.iter().filter(is_listed).cloned().collect();
    let is_by_time = page.created.is_some()
        && page.owner.is_none()
        && page.searched().is_none()
        && page.scope == PostScope::Public;
    let time = |found: &PostWithVotes| if is_by_time { Some(found.post.created_at) } else { None };
    listed.sort_by_key(|found| (time(found), found.post.id));
    if page.order == PostOrder::Newest {
        listed.reverse();
    }
    listed
}

/// Returns every post, also drafts.
async fn all_posts(store: &FreshStore, caller: Caller) -> Vec<PostWithVotes> {
    store.list_posts(seeing_drafts(caller), Page::default()).await.unwrap().to_vec()
}

fn random_page(rng: &mut Rng, owners: &[UserId]) -> Page {
    let moment = |rng: &mut Rng| Some(at(noon().as_microsecond() + between(rng, 0, 9)));
    let created = (below(rng, 3) == 0).then(|| {
        let since = if below(rng, 4) > 0 { moment(rng) } else { None };
        let until = if below(rng, 4) > 0 { moment(rng) } else { None };
        TimeRange::new(since, until)
    });
    let search = (below(rng, 4) == 0).then(|| ["1", "le 2", "none"][below(rng, 3)].to_owned());
    let is_oldest = search.is_none() && below(rng, 2) == 0;
    let has_drafts = below(rng, 4) == 0;
    Page {
        limit: Some([1, 2, 3, 7, 50][below(rng, 5)]),
        search,
        scope: if has_drafts { PostScope::OwnDrafts } else { PostScope::Public },
        order: if is_oldest { PostOrder::Oldest } else { PostOrder::Newest },
        owner: (!has_drafts && below(rng, 3) == 0).then(|| owners[below(rng, owners.len())]),
        created,
        ..Page::default()
    }
}

pub async fn pages_of_every_list_are_those_of_the_sorted_list(store: &FreshStore) {
    assert_random_pages(store, &mut Rng::new(20), 300).await;
}

/// Compares the pages of so many random lists with the sorted list.
pub async fn assert_random_pages(store: &FreshStore, rng: &mut Rng, lists: usize) {
    let authors = [store.sign_up("ada").await, store.sign_up("bob").await];
    let [ada, bob] = authors;
    write_mixed(store, &authors, 60).await;
    let all = all_posts(store, ada).await;
    for _ in 0..lists {
        let page = random_page(rng, &[ada.user_id, bob.user_id, UserId(4711)]);
        let caller = [ada, bob, seeing_drafts(ada)][below(rng, 3)];
        let expected = expected(&all, caller, &page);
        assert_eq!(walk(store, caller, page.clone()).await, expected, "{page:?}");
        let skip = below(rng, expected.len() + 2);
        let skipped = Page { skip: u64::try_from(skip).unwrap(), ..page.clone() };
        let rest = expected.get(skip..).unwrap_or_default();
        assert_eq!(walk(store, caller, skipped).await, rest, "{page:?} from {skip}");
        if page.search.is_none() && !expected.is_empty() {
            // From behind the last post back to the first one.
            let posts = store.list_posts(caller, Page { limit: Some(1000), ..page.clone() }).await;
            let posts = posts.unwrap();
            let end = page.neighbours(&posts, PageEnd::Full).next.unwrap();
            let behind = Page { position: Some(end), ..page.clone() };
            assert_eq!(walk_back(store, caller, behind).await, expected, "{page:?} back");
        }
    }
}

/// A client that asks for the page before the newest posts gets each new post once.
pub async fn previous_page_of_the_newest_has_later_posts(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for is_empty in [true, false] {
        for page in [
            Page { limit: Some(2), ..Page::default() },
            Page { limit: Some(2), owner: Some(ada.user_id), ..Page::default() },
            Page { limit: Some(2), created: Some(TimeRange::new(None, None)), ..Page::default() },
        ] {
            let mut page = page;
            let mut seen = Vec::new();
            for round in 0..4 {
                for number in 0..round {
                    store.write(ada, &format!("{round}.{number}")).await;
                }
                loop {
                    let posts = store.list_posts(ada, page.clone()).await.unwrap();
                    let end = posts.end(&page);
                    let titles = posts.iter().rev().map(|found| found.post.title.as_str());
                    let is_first = page.position.is_none();
                    seen.extend(titles.filter(|_| !is_first).map(str::to_owned));
                    let previous = page.neighbours(&posts, end).previous;
                    page.position = Some(previous.expect("the newest page has a previous one"));
                    if !is_first && end == PageEnd::EndOfList {
                        break;
                    }
                }
            }
            let expected = ["1.0", "2.0", "2.1", "3.0", "3.1", "3.2"];
            assert_eq!(seen, expected, "{page:?}, empty: {is_empty}");
            if is_empty {
                store.execute("DELETE FROM posts");
            }
        }
    }
}

/// The empty page before the newest posts leads back to them.
pub async fn page_after_an_empty_previous_page_is_the_same_as_before(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    store.write(ada, "one").await;
    store.write(ada, "two").await;
    let page = Page { limit: Some(2), ..Page::default() };
    let posts = store.list_posts(ada, page.clone()).await.unwrap();
    let before = page.neighbours(&posts, posts.end(&page)).previous;
    let empty_page = Page { position: before, ..page };
    let empty = store.list_posts(ada, empty_page.clone()).await.unwrap();
    assert_eq!(empty.len(), 0);
    let neighbours = empty_page.neighbours(&empty, empty.end(&empty_page));
    assert_eq!(neighbours.previous, before);
    let again = Page { position: neighbours.next, ..empty_page };
    assert_eq!(store.titles(ada, again).await, ["two", "one"]);
}

/// A search that ends after misses continues where it has stopped, also without a hit.
pub async fn stopped_search_continues_with_the_next_page(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    for (first, count) in [("needle ++ one", 1500), ("needle ++ two", 2500)] {
        store.write(ada, first).await;
        write_many(store, ada, count, 1);
    }
    for text in ["++", "needle ++", "e", "needle ++ one"] {
        let found = walk(store, ada, Page { limit: Some(10), ..search(text) }).await;
        let titles: Vec<&str> = found.iter().map(|found| found.post.title.as_str()).collect();
        let one = "needle ++ one";
        let expected = ["needle ++ two", one];
        assert_eq!(titles, if text == one { &expected[1..] } else { &expected }, "{text}");
    }
    let owned = Page { limit: Some(10), owner: Some(ada.user_id), ..search("needle ++") };
    assert_eq!(walk(store, ada, owned).await.len(), 2);
}

/// An owner's posts of a time are looked at one by one, in both orders.
pub async fn list_of_owner_and_time_continues_after_misses(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    write_many(store, ada, 1500, 1);
    let between = store.create_post(ada, content("then", true), at(7)).await.unwrap();
    write_many(store, ada, 1500, 1);
    for order in [PostOrder::Newest, PostOrder::Oldest] {
        let page = Page {
            limit: Some(10),
            owner: Some(ada.user_id),
            created: Some(TimeRange::new(Some(at(7)), Some(at(8)))),
            order,
            ..Page::default()
        };
        let first = store.list_posts(ada, page.clone()).await.unwrap();
        assert!(matches!(first.end(&page), PageEnd::StoppedAt(_)), "{order:?}");
        let found = walk(store, ada, page.clone()).await;
        assert_eq!(found.iter().map(|found| found.post.id).collect::<Vec<_>>(), [between.id]);
        let last = page.neighbours(&found, PageEnd::Full).next;
        let behind = Page { position: last, ..page };
        assert_eq!(walk_back(store, ada, behind).await.len(), 1, "{order:?}");
    }
}

/// Pages that end after 8 MiB continue with the next post, in both directions.
pub async fn page_that_ends_after_eight_mebibytes_continues(store: &FreshStore) {
    let ada = store.sign_up("ada").await;
    let long = text(&"x".repeat(2 * 1024 * 1024));
    for number in 0..6 {
        let post = PostContent { content: long.clone(), ..content(&number.to_string(), true) };
        store.create_post(ada, post, noon()).await.unwrap();
    }
    for order in [PostOrder::Newest, PostOrder::Oldest] {
        let page = Page { limit: Some(10), order, ..Page::default() };
        let walked = walk(store, ada, page.clone()).await;
        assert_eq!(walked.len(), 6, "{order:?}");
        let end = page.neighbours(&walked, PageEnd::Full).next;
        let behind = Page { position: end, ..page };
        assert_eq!(walk_back(store, ada, behind).await, walked, "{order:?}");
    }
}

/// No list shows a post of a closed account, whether the range of its IDs is known or not.
pub async fn pages_leave_out_closed_accounts(store: &FreshStore) {
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    store.write(bob, "1").await;
    write_many(store, ada, 3000, 1);
    store.write(bob, "2").await;
    store.execute(
        "CREATE TABLE kept (post_id bigint REFERENCES posts (id));
         INSERT INTO kept SELECT max(id) - 1 FROM posts",
    );
    delete(store, ada).await;
    for round in 0..20 {
        for order in [PostOrder::Newest, PostOrder::Oldest] {
            let all = Page { limit: Some(1), order, ..Page::default() };
            let created = Some(TimeRange::new(None, None));
            for caller in [bob, seeing_drafts(bob)] {
                assert_eq!(walk(store, caller, all.clone()).await.len(), 2, "{round}");
                let timed = Page { created, ..all.clone() };
                assert_eq!(walk(store, caller, timed).await.len(), 2);
                let hers = Page { owner: Some(ada.user_id), ..all.clone() };
                assert_eq!(walk(store, caller, hers.clone()).await.len(), 0);
                assert_eq!(walk(store, caller, Page { created, ..hers }).await.len(), 0);
            }
        }
    }
}

pub async fn installation_key_is_the_same_for_every_process(store: &FreshStore) {
    let key = store.find_installation_key().await.unwrap();
    assert_eq!(key.0, store.open_another().find_installation_key().await.unwrap().0);
    assert_ne!(key.0, [0; 32]);
}

/// Every post that exists and stays visible during the whole walk comes exactly once, while others
/// write, delete, vote and unpublish.
pub async fn walk_during_writes_has_every_lasting_post_once(store: &FreshStore) {
    assert_walks(store, 60, 2, 2).await;
}

/// The walks of each reader in [`assert_walks`].
pub const WALKS_PER_READER: usize = 6;

/// Writes posts that stay. Then so many readers walk, while so many writers write.
pub async fn assert_walks(store: &FreshStore, lasting: usize, readers: usize, writers: usize) {
    let ada = store.sign_up("ada").await;
    let bob = store.sign_up("bob").await;
    write_mixed(store, &[ada], lasting).await;
    let posts = store.list_posts(ada, Page::default()).await.unwrap();
    let lasting: BTreeSet<i64> = posts.iter().map(|found| found.post.id.0).collect();
    let is_done = AtomicBool::new(false);
    let write = async |writer: usize| {
        let mut rng = Rng::new(u64::try_from(writer).unwrap());
        let mut written = Vec::new();
        while !is_done.load(Ordering::Relaxed) {
            let moment = at(noon().as_microsecond() + between(&mut rng, 0, 9));
            let post = content("passing", below(&mut rng, 2) > 0);
            written.push(store.create_post(bob, post, moment).await.unwrap().id);
            let passing = written[below(&mut rng, written.len())];
            let published = below(&mut rng, 2) > 0;
            store
                .update_post(bob, passing, content("changed", published).into(), None)
                .await
                .unwrap();
            let voted = *lasting.iter().nth(below(&mut rng, lasting.len())).unwrap();
            store.vote(bob, post_api::domain::post::PostId(voted), between(&mut rng, -1, 2)).await;
            if written.len() > 20 {
                let deleted = written.swap_remove(below(&mut rng, written.len()));
                store.delete_post(bob, deleted, None).await.unwrap();
            }
        }
    };
    let read = async |reader: usize| {
        let mut rng = Rng::new(u64::try_from(reader).unwrap() + 99);
        for round in 0..WALKS_PER_READER {
            let page = Page {
                limit: Some([3, 7, 20][below(&mut rng, 3)]),
                order: [PostOrder::Newest, PostOrder::Oldest][round % 2],
                created: (round % 3 == 2).then(|| TimeRange::new(None, None)),
                ..Page::default()
            };
            let ids = walk(store, ada, page.clone()).await;
            let ids: Vec<i64> = ids.iter().map(|found| found.post.id.0).collect();
            let once: BTreeSet<i64> = ids.iter().copied().collect();
            assert_eq!(ids.len(), once.len(), "a post comes twice: {page:?}");
            assert!(lasting.is_subset(&once), "a post is missing: {page:?}");
        }
    };
    let reading = async {
        futures_util::future::join_all((0..readers).map(read)).await;
        is_done.store(true, Ordering::Relaxed);
    };
    tokio::join!(reading, futures_util::future::join_all((0..writers).map(write)));
}
