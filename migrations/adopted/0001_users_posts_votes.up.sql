-- no transaction

-- The reference's tables stay as they are. Its votes are found by their users alone: what goes with
-- a post must be found too.
SET lock_timeout = 0;

DROP INDEX CONCURRENTLY IF EXISTS votes_post;

CREATE INDEX CONCURRENTLY votes_post ON votes (post_id);
