-- no transaction
-- These builds wait for the transactions that are under way, and hold up nobody.
SET lock_timeout = '1min';

-- The public list, newest first, whatever lies between in drafts.
DROP INDEX CONCURRENTLY IF EXISTS posts_published;
CREATE INDEX CONCURRENTLY posts_published ON posts (id) WHERE published;

-- An author's drafts, newest first; and what goes with an account.
DROP INDEX CONCURRENTLY IF EXISTS posts_owner;
CREATE INDEX CONCURRENTLY posts_owner ON posts (owner_id, published, id);

-- What goes with an account.
DROP INDEX CONCURRENTLY IF EXISTS votes_user;
CREATE INDEX CONCURRENTLY votes_user ON votes (user_id);
