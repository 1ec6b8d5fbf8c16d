//! The query for a list of posts, and the pages next to one.

use std::ops::RangeInclusive;

use jiff::Timestamp;

use super::post::{PostId, PostWithVotes};
use super::user::UserId;

/// A part of the list of posts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Maximum number of posts; `None` means all.
    pub limit: Option<u32>,
    /// Number of posts to leave out at the start.
    pub skip: u64,
    /// Keeps only titles that contain this text in their first 1,000 characters. The match is
    /// literal and case-sensitive.
    pub search: Option<String>,
    pub scope: PostScope,
    pub order: PostOrder,
    /// Keeps only posts of this user.
    pub owner: Option<UserId>,
    /// Keeps only posts that were created in this time. Without `search` and `owner`, these posts
    /// are in the order of their time, then of their ID; otherwise in the order of their ID.
    pub created: Option<TimeRange>,
    /// Where the page begins or ends. `None` means the start of the list.
    pub position: Option<Position>,
    /// Lists only these posts, in this order. Only `limit` and `scope` apply to them.
    pub ids: Option<Vec<PostId>>,
}

/// The posts that a list covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostScope {
    /// The posts that every user can see.
    #[default]
    Public,
    /// The caller's own drafts.
    OwnDrafts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostOrder {
    #[default]
    Newest,
    Oldest,
}

/// A range of times in microseconds since 1970, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeRange {
    pub from: i64,
    pub to: i64,
}

/// A place between two entries of a list. Each entry has a key and an ID. Those with a lower key, or
/// the same key and a lower ID, are on one side; all others are on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Whether the page ends here, instead of beginning here.
    pub is_backward: bool,
    /// The value that the list is ordered by first, such as a time in microseconds. 0 in a list
    /// that is ordered by ID only.
    pub key: i64,
    pub id: i64,
}

/// The key and the ID of an entry.
pub type EntryKey = (i64, i64);

/// The positions of the pages next to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Neighbours {
    pub next: Option<Position>,
    pub previous: Option<Position>,
}

/// The reason why a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// No entry follows in the direction of reading.
    EndOfList,
    /// The limit of the page in entries or bytes.
    Full,
    /// The limit on entries that are looked at without a match. This is the ID of the last one.
    StoppedAt(i64),
}

impl TimeRange {
    /// All times that a post can show, see `store::stored_time`: from the year 1 to
    /// [`Timestamp::MAX`].
    const ALL: Self = Self { from: -62_135_596_800_000_000, to: 253_402_207_200_999_999 };

    /// Returns the range from `since` up to, and without, `until`. Posts have microseconds, so a
    /// fraction of one rounds up.
    #[must_use]
    pub fn new(since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        let microsecond = |time: Timestamp| {
            let has_rest = time.as_nanosecond().rem_euclid(1000) > 0;
            time.as_nanosecond().div_euclid(1000) + i128::from(has_rest)
        };
        let bound = |time| i64::try_from(microsecond(time)).unwrap_or(i64::MAX);
        Self {
            from: since.map_or(Self::ALL.from, |since| bound(since).max(Self::ALL.from)),
            to: until.map_or(Self::ALL.to, |until| bound(until) - 1),
        }
    }
}

impl Page {
    /// Returns the text to search for, if it is not empty.
    #[must_use]
    pub fn searched(&self) -> Option<&str> {
        self.search.as_deref().filter(|text| !text.is_empty())
    }

    /// Whether entries are looked at one by one, because no index has only those of the list.
    #[must_use]
    pub fn is_scanned(&self) -> bool {
        let is_of_owner = self.owner.is_some() || self.scope == PostScope::OwnDrafts;
        self.searched().is_some() || (is_of_owner && self.created.is_some())
    }

    /// Returns the times that the list is ordered by first.
    #[must_use]
    pub fn ordered_times(&self) -> Option<TimeRange> {
        self.created.filter(|_| !self.is_scanned())
    }

    /// Whether the posts are read in ascending order. A page that ends at its position is read from
    /// there, and turned around.
    #[must_use]
    pub fn is_read_ascending(&self) -> bool {
        (self.order == PostOrder::Oldest) != self.is_backward()
    }

    #[must_use]
    pub fn is_backward(&self) -> bool {
        self.position.is_some_and(|position| position.is_backward)
    }

    /// Returns the entries that the page can have. Without ordered times, their keys are 0.
    #[must_use]
    pub fn entries(&self) -> RangeInclusive<EntryKey> {
        let keys = self.ordered_times().unwrap_or(TimeRange { from: 0, to: 0 });
        let (from, to) = ((keys.from, i64::MIN), (keys.to, i64::MAX));
        match self.position {
            None => from..=to,
            Some(Position { key, id, .. }) if self.is_read_ascending() => from.max((key, id))..=to,
            Some(Position { key, id, .. }) => match before((key, id)) {
                Some(last) => from..=to.min(last),
                None => to..=from,
            },
        }
    }

    /// Returns the positions of the pages next to the one with these posts.
    ///
    /// The page before the newest posts is the one with newer posts, so there always is one. Its
    /// first posts are the oldest of them, so that a client that asks again and again gets all.
    #[must_use]
    pub fn neighbours(&self, posts: &[PostWithVotes], end: PageEnd) -> Neighbours {
        let entry = |post: &PostWithVotes| {
            let key = self.ordered_times().map_or(0, |_| post.post.created_at.as_microsecond());
            (key, post.post.id.0)
        };
        let first = posts.first().and_then(|post| self.start_of(entry(post)));
        let last = posts.last().and_then(|post| self.end_of(entry(post)));
        let is_newest = self.order == PostOrder::Newest;
        let (next, previous) = if self.is_backward() {
            let start = match end {
                PageEnd::Full => first,
                PageEnd::StoppedAt(id) => self.start_of((0, id)),
                PageEnd::EndOfList if is_newest => first.or(self.cut()),
                PageEnd::EndOfList => None,
            };
            (last.or(self.cut()), start)
        } else {
            let start = match (self.position, end) {
                _ if self.searched().is_some() => None,
                (Some(_), _) => first.or(self.cut()),
                (None, _) if !is_newest => None,
                (None, PageEnd::StoppedAt(id)) => first.or(self.start_of((0, id))),
                (None, _) if self.skip > 0 => first,
                (None, _) => first.or(Some((i64::MIN, i64::MIN))),
            };
            let next = match end {
                PageEnd::Full => last,
                PageEnd::StoppedAt(id) => self.end_of((0, id)),
                PageEnd::EndOfList => None,
            };
            (next, start)
        };
        let position = |is_backward| move |(key, id)| Position { is_backward, key, id };
        Neighbours { next: next.map(position(false)), previous: previous.map(position(true)) }
    }

    /// Returns the place of the position.
    fn cut(&self) -> Option<EntryKey> {
        self.position.map(|Position { key, id, .. }| (key, id))
    }

    /// Returns the place before an entry of the list.
    fn start_of(&self, entry: EntryKey) -> Option<EntryKey> {
        match self.order {
            PostOrder::Newest => after(entry),
            PostOrder::Oldest => Some(entry),
        }
    }

    /// Returns the place after an entry of the list.
    fn end_of(&self, entry: EntryKey) -> Option<EntryKey> {
        match self.order {
            PostOrder::Newest => Some(entry),
            PostOrder::Oldest => after(entry),
        }
    }
}

fn after((key, id): EntryKey) -> Option<EntryKey> {
    let next_id = id.checked_add(1).map(|id| (key, id));
    next_id.or_else(|| key.checked_add(1).map(|key| (key, i64::MIN)))
}

fn before((key, id): EntryKey) -> Option<EntryKey> {
    let previous_id = id.checked_sub(1).map(|id| (key, id));
    previous_id.or_else(|| key.checked_sub(1).map(|key| (key, i64::MAX)))
}
