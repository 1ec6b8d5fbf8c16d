-- The counts of all posts of a statement are changed by one statement again.
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

DROP FUNCTION is_shard_of_votes(oid);
