-- no transaction

-- The public list, newest first, whatever lies between in drafts; an author's drafts, newest first;
-- and what goes with an account.
SET lock_timeout = 0;

DROP INDEX CONCURRENTLY IF EXISTS posts_published;

CREATE INDEX CONCURRENTLY posts_published ON posts (id) WHERE published;

DROP INDEX CONCURRENTLY IF EXISTS posts_owner;

CREATE INDEX CONCURRENTLY posts_owner ON posts (owner_id, published, id);

DROP INDEX CONCURRENTLY IF EXISTS votes_user;

CREATE INDEX CONCURRENTLY votes_user ON votes (user_id);
