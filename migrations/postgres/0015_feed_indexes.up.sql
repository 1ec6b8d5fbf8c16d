-- no transaction
-- These builds wait for the transactions in flight, and block no write.
SET lock_timeout = '1min';

-- The lists in the order of time, published posts and drafts apart.
DROP INDEX CONCURRENTLY IF EXISTS posts_created;
CREATE INDEX CONCURRENTLY posts_created ON posts (published, created_at, id);

-- The votes of a user, in the order of their posts. This index replaces the one without the posts.
DROP INDEX CONCURRENTLY IF EXISTS votes_user_post;
CREATE INDEX CONCURRENTLY votes_user_post ON votes (user_id, post_id);
DROP INDEX CONCURRENTLY IF EXISTS votes_user;
