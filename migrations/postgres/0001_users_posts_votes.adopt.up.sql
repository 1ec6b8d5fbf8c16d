-- no transaction
-- What the reference's tables lack. Their key of votes begins with the user, and a post's votes
-- must be found by the post: to be counted, and to go with it.

-- This build waits for the transactions that are under way, and holds up nobody.
SET lock_timeout = '1min';
DROP INDEX CONCURRENTLY IF EXISTS votes_post;
CREATE INDEX CONCURRENTLY votes_post ON votes (post_id, user_id);
