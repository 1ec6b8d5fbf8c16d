-- The reference's tables stay as they were.
DROP INDEX votes_post;
