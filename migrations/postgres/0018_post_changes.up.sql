-- no transaction
-- The log of changes that streams are made of, and whether it is written. An epoch is one life of the
-- log: its value is random, and a place in the log is good for one epoch only. until is when the last
-- registration of a reader ends. origin tells a database that was copied or moved from its original.
-- Changes up to the trimmed place may have been deleted.
CREATE TABLE IF NOT EXISTS change_log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    until timestamptz NOT NULL DEFAULT to_timestamp(0),
    origin text,
    trimmed_xid xid8 NOT NULL DEFAULT '0',
    trimmed_id bigint NOT NULL DEFAULT 0
);

INSERT INTO change_log (epoch) VALUES (hashtextextended(gen_random_uuid()::text, 0))
    ON CONFLICT DO NOTHING;

-- The changes are logged until this time, in seconds since 1970; null is never. Every transaction reads
-- the present value of a sequence, whatever its snapshot. A row could be older than the registration.
CREATE SEQUENCE IF NOT EXISTS change_until_seq OWNED BY change_log.until;

-- A row says who changed and how, and has no text: kind 1 is a new post, 2 another title, content or
-- published, 3 a deleted post, 4 another number of votes, and 5 an account whose tokens were revoked
-- or that was disabled, enabled or deleted. was_published is the state before the change. The subject
-- of a row may be gone, so it refers to no table. Rows of ended transactions are read in the order of
-- xid and id, because no such row can be added later.
CREATE TABLE IF NOT EXISTS post_changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigserial,
    post_id bigint,
    user_id bigint,
    kind smallint NOT NULL,
    was_published boolean,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (xid, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- The functions run with the rights of their owner, so the roles of other programs need none. Each line
-- with two statements is one transaction, so that no function is ever executable by every role.
CREATE OR REPLACE FUNCTION log_posts_created() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'posts'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_posts_created() only logs changes of posts';
    END IF;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (post_id, kind, was_published)
        SELECT id, 1, FALSE FROM added ORDER BY id;
    END IF;
    RETURN NULL;
END $$; REVOKE EXECUTE ON FUNCTION log_posts_created() FROM PUBLIC;

CREATE OR REPLACE FUNCTION log_posts_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'posts'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_posts_updated() only logs changes of posts';
    END IF;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (post_id, kind, was_published)
        SELECT id, 2, before.published
          FROM added AS after JOIN removed AS before USING (id)
         WHERE (before.title, before.content, before.published)
               IS DISTINCT FROM (after.title, after.content, after.published)
         ORDER BY id;
    END IF;
    RETURN NULL;
END $$; REVOKE EXECUTE ON FUNCTION log_posts_updated() FROM PUBLIC;

CREATE OR REPLACE FUNCTION log_posts_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'posts'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_posts_deleted() only logs changes of posts';
    END IF;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (post_id, kind, was_published)
        SELECT id, 3, published FROM removed ORDER BY id;
    END IF;
    RETURN NULL;
END $$; REVOKE EXECUTE ON FUNCTION log_posts_deleted() FROM PUBLIC;

CREATE OR REPLACE FUNCTION log_users_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'users'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_users_updated() only logs changes of users';
    END IF;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (user_id, kind)
        SELECT id, 5
          FROM added AS after JOIN removed AS before USING (id)
         WHERE (before.tokens_valid_from, before.disabled_at)
               IS DISTINCT FROM (after.tokens_valid_from, after.disabled_at)
         ORDER BY id;
    END IF;
    RETURN NULL;
END $$; REVOKE EXECUTE ON FUNCTION log_users_updated() FROM PUBLIC;

CREATE OR REPLACE FUNCTION log_users_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'users'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_users_deleted() only logs changes of users';
    END IF;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (user_id, kind)
        SELECT id, 5 FROM removed ORDER BY id;
    END IF;
    RETURN NULL;
END $$; REVOKE EXECUTE ON FUNCTION log_users_deleted() FROM PUBLIC;

CREATE OR REPLACE TRIGGER changes_logged_after_insert AFTER INSERT ON posts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION log_posts_created();

CREATE OR REPLACE TRIGGER changes_logged_after_update AFTER UPDATE ON posts
    REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION log_posts_updated();

CREATE OR REPLACE TRIGGER changes_logged_after_delete AFTER DELETE ON posts
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION log_posts_deleted();

CREATE OR REPLACE TRIGGER changes_logged_after_update AFTER UPDATE ON users
    REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION log_users_updated();

CREATE OR REPLACE TRIGGER changes_logged_after_delete AFTER DELETE ON users
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION log_users_deleted();

-- The functions that count votes also log them: one row for each post of a statement. After TRUNCATE a
-- new epoch begins.
CREATE OR REPLACE FUNCTION count_votes_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'votes'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_added() only counts the rows of votes';
    END IF;
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (post_id, kind)
        SELECT DISTINCT post_id, 4 FROM added;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'votes'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_removed() only counts the rows of votes';
    END IF;
    PERFORM 1 FROM vote_counts
      WHERE post_id IN (SELECT post_id FROM removed) ORDER BY post_id FOR UPDATE;
    UPDATE vote_counts AS counted SET votes = counted.votes - gone.votes
      FROM (SELECT post_id, sum(dir) AS votes FROM removed GROUP BY post_id) AS gone
     WHERE counted.post_id = gone.post_id;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (post_id, kind)
        SELECT DISTINCT post_id, 4 FROM removed;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'votes'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_changed() only counts the rows of votes';
    END IF;
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir)
      FROM (SELECT post_id, dir FROM added
            UNION ALL
            SELECT post_id, -dir FROM removed) AS both_sides
     GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    IF pg_sequence_last_value('change_until_seq') > date_part('epoch', now()) THEN
        INSERT INTO post_changes (post_id, kind)
        SELECT post_id, 4
          FROM (SELECT post_id FROM added UNION SELECT post_id FROM removed) AS both_sides;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_truncated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'votes'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_truncated() only counts the rows of votes';
    END IF;
    DELETE FROM vote_counts;
    UPDATE change_log SET epoch = hashtextextended(gen_random_uuid()::text, 0);
    RETURN NULL;
END $$;
