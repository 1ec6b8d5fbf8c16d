-- The functions of the triggers of votes on distributed tables, run on the coordinator. On a shard, the
-- table of the counts is a table of several servers: a statement must change the count of one post.

-- Whether a table is a shard of votes. Without Citus there is none.
CREATE OR REPLACE FUNCTION is_shard_of_votes(oid) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_shard') IS NULL THEN
        RETURN FALSE;
    END IF;
    RETURN EXISTS (SELECT FROM pg_catalog.pg_dist_shard
                    WHERE logicalrelid = 'votes'::regclass
                      AND to_regclass('votes_' || shardid) = $1);
END $$; REVOKE EXECUTE ON FUNCTION is_shard_of_votes(oid) FROM PUBLIC;

CREATE OR REPLACE FUNCTION count_votes_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    post bigint;
    total bigint;
BEGIN
    IF 'votes'::regclass <> TG_RELID AND NOT is_shard_of_votes(TG_RELID) THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_added() only counts the rows of votes';
    END IF;
    FOR post, total IN SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id LOOP
        INSERT INTO vote_counts AS counted (post_id, votes) VALUES (post, total)
        ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    END LOOP;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    post bigint;
    total bigint;
BEGIN
    IF 'votes'::regclass <> TG_RELID AND NOT is_shard_of_votes(TG_RELID) THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_removed() only counts the rows of votes';
    END IF;
    -- A post that is deleted may have taken its count along already.
    FOR post, total IN SELECT post_id, sum(dir) FROM removed GROUP BY post_id ORDER BY post_id LOOP
        UPDATE vote_counts SET votes = votes - total WHERE post_id = post;
    END LOOP;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    post bigint;
    total bigint;
BEGIN
    IF 'votes'::regclass <> TG_RELID AND NOT is_shard_of_votes(TG_RELID) THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_changed() only counts the rows of votes';
    END IF;
    FOR post, total IN
        SELECT post_id, sum(dir)
          FROM (SELECT post_id, dir FROM added
                UNION ALL
                SELECT post_id, -dir FROM removed) AS both_sides
         GROUP BY post_id ORDER BY post_id
    LOOP
        INSERT INTO vote_counts AS counted (post_id, votes) VALUES (post, total)
        ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    END LOOP;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_votes_truncated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF 'votes'::regclass <> TG_RELID AND NOT is_shard_of_votes(TG_RELID) THEN
        RAISE insufficient_privilege USING MESSAGE = 'count_votes_truncated() only counts the rows of votes';
    END IF;
    DELETE FROM vote_counts;
    RETURN NULL;
END $$;
