//! Parts of the statements that cast and withdraw many votes: the ballots with what their callers may
//! do, and the deletion of votes.

/// Selects ballots, and whether their caller is accepted and sees the post. The text has the
/// parameters and the alias of `unnest`.
///
/// Scalar subqueries look up a row for each ballot. A join could read all accounts and posts, see
/// `statement.rs`.
macro_rules! checked_ballots {
    ($ballots:expr) => {
        concat!(
            "SELECT ballot.*,
                        (SELECT users.id FROM users
                          WHERE users.id = ballot.user_id
                            AND users.tokens_valid_from BETWEEN ballot.least AND ballot.most
                            AND users.disabled_at IS NULL) IS NOT NULL AS has_caller,
                        (SELECT posts.id FROM posts
                          WHERE posts.id = ballot.post_id
                            AND ",
            is_open!("posts.owner_id"),
            "
                            AND (posts.published OR posts.owner_id = ballot.user_id
                                 OR ballot.sees_drafts)) IS NOT NULL AS has_post
                   FROM unnest(",
            $ballots
        )
    };
}

/// Like `checked_ballots!`, for distributed posts: `$2` has their IDs. Citus has no such subquery.
macro_rules! joined_ballots {
    ($ballots:expr) => {
        concat!(
            "SELECT ballot.*, users.id IS NOT NULL AS has_caller, posts.id IS NOT NULL AS has_post
                   FROM unnest(", $ballots, "
                   LEFT JOIN users
                     ON users.id = ballot.user_id
                    AND users.tokens_valid_from BETWEEN ballot.least AND ballot.most
                    AND users.disabled_at IS NULL
                   LEFT JOIN ", posts_among!("$2"), "
                     ON posts.id = ballot.post_id
                    AND ", is_open!("posts.owner_id"), "
                    AND (posts.published OR posts.owner_id = ballot.user_id OR ballot.sees_drafts)"
        )
    };
}

/// Deletes the votes of allowed ballots with a further condition. `$2` has the IDs of their posts, `$3`
/// those of their users: with them, no plan reads all votes. It is a join, because another process may
/// change a vote while the statement waits, and a join then finds the new version of the row.
macro_rules! delete_votes {
    ($condition:literal) => {
        concat!(
            "DELETE FROM votes
              USING ballots
              WHERE votes.post_id = ballots.post_id AND votes.user_id = ballots.user_id
                AND votes.post_id = ANY($2) AND votes.user_id = ANY($3)
                AND has_caller AND has_post",
            $condition
        )
    };
}

pub(super) use {checked_ballots, delete_votes, joined_ballots};
