-- no transaction
SET lock_timeout = '1min';
DROP INDEX CONCURRENTLY IF EXISTS votes_user;
DROP INDEX CONCURRENTLY IF EXISTS posts_owner;
DROP INDEX CONCURRENTLY IF EXISTS posts_published;
