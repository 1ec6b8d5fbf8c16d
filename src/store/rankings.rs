//! The limits of what a store reads for rankings, and the merge with posts without votes.

use crate::domain::ranking::RankedPost;

/// The posts that a ranking is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankSource {
    /// The posts with the most votes.
    MostVoted,
    /// The posts created last, or with the largest IDs if drafts are visible.
    Newest,
}

/// Maximum number of counts that are read, the highest first. Those of drafts are left out later.
pub(super) const MAX_COUNTS: usize = 20_000;

/// Maximum number of posts without a vote, the newest first.
pub(super) const MAX_UNVOTED: usize = 10_000;

/// Maximum number of the newest posts.
pub(super) const MAX_NEWEST: usize = 100_000;

/// The highest counts of votes, and the posts that the caller sees of them.
#[derive(Debug, Default)]
pub(super) struct MostVoted {
    posts: Vec<RankedPost>,
    counts: usize,
    /// Votes and ID of the last count.
    last: (i64, i64),
}

impl MostVoted {
    /// Adds the next count. `post` is `None` if the post is not visible.
    pub(super) fn push(&mut self, votes: i64, id: i64, post: Option<RankedPost>) {
        self.posts.extend(post);
        self.counts += 1;
        self.last = (votes, id);
    }

    /// Whether posts without a vote can rank before a post whose count was not read.
    pub(super) fn needs_unvoted(&self) -> bool {
        self.counts < MAX_COUNTS || self.last.0 < 1
    }

    /// Returns the posts with those without a vote. A post that a count which was not read could
    /// precede is left out.
    pub(super) fn merge(
        mut self,
        unvoted: impl IntoIterator<Item = RankedPost>,
    ) -> Vec<RankedPost> {
        self.posts.extend(unvoted);
        if self.counts >= MAX_COUNTS {
            let last = self.last;
            self.posts.retain(|post| (post.votes, post.id.0) >= last);
        }
        self.posts
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::post::PostId;

    fn post(id: i64, votes: i64) -> RankedPost {
        RankedPost { id: PostId(id), votes, created_at: Timestamp::UNIX_EPOCH }
    }

    fn counts(number: usize, lowest: i64) -> MostVoted {
        let mut counts = MostVoted::default();
        for id in (0..i64::try_from(number).unwrap()).rev() {
            let votes = lowest + id / 10_000;
            counts.push(votes, id, (id % 2 == 0).then(|| post(id, votes)));
        }
        counts
    }

    #[test]
    fn posts_without_votes_are_merged_unless_a_count_is_missing() {
        assert!(counts(10, 5).needs_unvoted());
        assert_eq!(counts(10, 5).merge([post(99, 0)]).len(), 6);
        assert!(!counts(MAX_COUNTS, 1).needs_unvoted());
        assert!(counts(MAX_COUNTS, 0).needs_unvoted());
        // The last count is 0 of the post 0. Those of negative counts are missing.
        assert_eq!(counts(MAX_COUNTS, 0).merge([post(99_999, 0), post(5, -1)]).len(), 10_001);
    }
}
