-- no transaction
-- The log ends with a trace, and has the changes that other programs make of keys. Returns whether the
-- present change is logged. The first change that is not logged sets the sequence to 1, and a reader that
-- then registers begins a new epoch: so a clock that was changed can lose no change. The log ends after
-- its registration, or if the clock was set back by more than an hour: then it would not end in time.
CREATE OR REPLACE FUNCTION is_change_logged() RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    IF pg_sequence_last_value('change_until_seq') - date_part('epoch', clock_timestamp())
       BETWEEN 0 AND 7200 THEN
        RETURN TRUE;
    END IF;
    PERFORM setval('change_until_seq', 1);
    RETURN FALSE;
END $$; REVOKE EXECUTE ON FUNCTION is_change_logged() FROM PUBLIC;

-- The first comparison saves the call while no process reads the log.
CREATE OR REPLACE FUNCTION log_posts_created() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'posts'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_posts_created() only logs changes of posts';
    END IF;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, post_id, was_published)
        SELECT 1, id, FALSE FROM added ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION log_posts_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'posts'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_posts_updated() only logs changes of posts';
    END IF;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        -- A post with another ID is a deleted and a new one.
        INSERT INTO post_changes (kind, post_id, was_published)
        SELECT CASE WHEN before.published IS NULL THEN 1
                    WHEN after.published IS NULL THEN 3
                    ELSE 2 END,
               id, coalesce(before.published, FALSE)
          FROM added AS after FULL JOIN removed AS before USING (id)
         WHERE (before.title, before.content, before.published, before.owner_id, before.created_at)
               IS DISTINCT FROM
               (after.title, after.content, after.published, after.owner_id, after.created_at)
         ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION log_posts_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'posts'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_posts_deleted() only logs changes of posts';
    END IF;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, post_id, was_published)
        SELECT 3, id, published FROM removed ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION log_users_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'users'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_users_updated() only logs changes of users';
    END IF;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, user_id)
        SELECT 5, id
          FROM added AS after FULL JOIN removed AS before USING (id)
         WHERE (after.tokens_valid_from, after.disabled_at)
               IS DISTINCT FROM (before.tokens_valid_from, before.disabled_at)
         ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION log_users_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'users'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'log_users_deleted() only logs changes of users';
    END IF;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, user_id)
        SELECT 5, id FROM removed ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'votes'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_added() only counts the rows of votes';
    END IF;
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, post_id)
        SELECT DISTINCT 4, post_id FROM added;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'votes'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_removed() only counts the rows of votes';
    END IF;
    PERFORM 1 FROM vote_counts
      WHERE post_id IN (SELECT post_id FROM removed) ORDER BY post_id FOR UPDATE;
    UPDATE vote_counts AS counted SET votes = counted.votes - gone.votes
      FROM (SELECT post_id, sum(dir) AS votes FROM removed GROUP BY post_id) AS gone
     WHERE counted.post_id = gone.post_id;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, post_id)
        SELECT DISTINCT 4, post_id FROM removed;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'votes'::regclass <> TG_RELID THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_changed() only counts the rows of votes';
    END IF;
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir)
      FROM (SELECT post_id, dir FROM added
            UNION ALL
            SELECT post_id, -dir FROM removed) AS both_sides
     GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    IF 1 < pg_sequence_last_value('change_until_seq') AND is_change_logged() THEN
        INSERT INTO post_changes (kind, post_id)
        SELECT 4, post_id
          FROM (SELECT post_id FROM added UNION SELECT post_id FROM removed) AS both_sides;
    END IF;
    RETURN NULL;
END $$;
