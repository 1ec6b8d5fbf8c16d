-- no transaction
SET lock_timeout = '1min';
DROP INDEX CONCURRENTLY IF EXISTS votes_post;
