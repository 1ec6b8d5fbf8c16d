-- no transaction
-- A change of the clock can lose changes from here on.
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
END $$;

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
END $$;

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
END $$;

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
END $$;

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
END $$;

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

DROP FUNCTION IF EXISTS is_change_logged();
