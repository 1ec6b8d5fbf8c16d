//! Rankings: posts in the order of their votes, or of their votes and their age.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use super::page::EntryKey;
use super::post::PostId;

/// Maximum number of posts in a ranking.
pub const MAX_RANKED: usize = 10_000;

/// An order that is computed from votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// The most votes, of the posts created in this time.
    Top(Window),
    /// Many votes, and a late time of creation.
    Hot,
}

/// A time before the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    #[default]
    All,
    Day,
    Week,
    Month,
    Year,
}

/// A post as far as rankings need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankedPost {
    pub id: PostId,
    pub votes: i64,
    pub created_at: Timestamp,
}

impl Ranking {
    /// Returns the posts of the ranking at this time, best first. The key of an entry is what it is
    /// ordered by.
    #[must_use]
    pub fn order(self, posts: &[RankedPost], now: Timestamp) -> Vec<EntryKey> {
        let start = match self {
            Self::Top(window) => window.start(now),
            Self::Hot => Timestamp::MIN,
        };
        let listed = posts.iter().filter(|post| post.created_at >= start);
        let mut entries: Vec<EntryKey> = listed.map(|post| (self.key(post), post.id.0)).collect();
        entries.sort_unstable_by_key(|entry| Reverse(*entry));
        entries.truncate(MAX_RANKED);
        entries
    }

    fn key(self, post: &RankedPost) -> i64 {
        match self {
            Self::Top(_) => post.votes,
            Self::Hot => hotness(post.votes, post.created_at),
        }
    }
}

impl Window {
    fn start(self, now: Timestamp) -> Timestamp {
        let days = match self {
            Self::All => return Timestamp::MIN,
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Year => 365,
        };
        now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN)
    }
}

/// Reddit's formula: ten times the votes count as much as 12.5 hours. It depends on the time of
/// creation, not on the age, so the order of two posts does not change while their votes stay.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a rough order"
)]
fn hotness(votes: i64, created_at: Timestamp) -> i64 {
    let magnitude = votes.unsigned_abs().max(1) as f64;
    let bonus = magnitude.log10() * 45_000.0 * 1e6;
    created_at.as_microsecond() + votes.signum() * bonus as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: i64, votes: i64, second: i64) -> RankedPost {
        RankedPost { id: PostId(id), votes, created_at: Timestamp::from_second(second).unwrap() }
    }

    fn ids(ranking: Ranking, posts: &[RankedPost], now: i64) -> Vec<i64> {
        let now = Timestamp::from_second(now).unwrap();
        ranking.order(posts, now).into_iter().map(|(_, id)| id).collect()
    }

    #[test]
    fn top_has_the_most_votes_of_its_window_first() {
        let day = 24 * 60 * 60;
        let posts =
            [post(1, 9, 0), post(2, -1, day * 400), post(3, 5, day * 400 + 1), post(4, 5, 5)];
        let now = day * 401;
        assert_eq!(ids(Ranking::Top(Window::All), &posts, now), [1, 4, 3, 2]);
        assert_eq!(ids(Ranking::Top(Window::Day), &posts, now), [3, 2]);
        assert_eq!(ids(Ranking::Top(Window::Day), &posts, now + 1), [3]);
        assert_eq!(ids(Ranking::Top(Window::Year), &posts, now), [3, 2]);
    }

    #[test]
    fn hot_weighs_votes_against_age() {
        let posts = [
            post(1, 0, 0),
            post(2, 1, 0),
            post(3, 10, 0),
            post(4, 0, 44_999),
            post(5, 1, 45_001),
            post(6, -10, 50_000),
            post(7, i64::MIN, 0),
            post(8, i64::MAX, 0),
        ];
        assert_eq!(ids(Ranking::Hot, &posts, 0), [8, 5, 3, 4, 6, 2, 1, 7]);
    }

    #[test]
    fn ranking_has_a_limit() {
        let posts: Vec<RankedPost> = (0..10_001).map(|id| post(id, id, 0)).collect();
        let ranked = ids(Ranking::Hot, &posts, 0);
        assert_eq!((ranked.len(), ranked[0], ranked[9_999]), (10_000, 10_000, 1));
    }
}
