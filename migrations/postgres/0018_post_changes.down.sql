-- no transaction
-- Readers of the log miss the changes from here on, and a later upgrade begins a new epoch.
CREATE OR REPLACE FUNCTION count_votes_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'votes'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_added() only counts the rows of votes';
    END IF;
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
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
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_truncated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_RELID <> 'votes'::regclass THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_truncated() only counts the rows of votes';
    END IF;
    DELETE FROM vote_counts;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS changes_logged_after_delete ON users;
DROP TRIGGER IF EXISTS changes_logged_after_update ON users;
DROP TRIGGER IF EXISTS changes_logged_after_delete ON posts;
DROP TRIGGER IF EXISTS changes_logged_after_update ON posts;
DROP TRIGGER IF EXISTS changes_logged_after_insert ON posts;
DROP FUNCTION IF EXISTS log_users_deleted();
DROP FUNCTION IF EXISTS log_users_updated();
DROP FUNCTION IF EXISTS log_posts_deleted();
DROP FUNCTION IF EXISTS log_posts_updated();
DROP FUNCTION IF EXISTS log_posts_created();
DROP TABLE IF EXISTS post_changes;
DROP TABLE IF EXISTS change_log;
