-- no transaction
SET lock_timeout = '1min';
DROP INDEX CONCURRENTLY IF EXISTS votes_user;
CREATE INDEX CONCURRENTLY votes_user ON votes (user_id);
DROP INDEX CONCURRENTLY IF EXISTS votes_user_post;
DROP INDEX CONCURRENTLY IF EXISTS posts_created;
