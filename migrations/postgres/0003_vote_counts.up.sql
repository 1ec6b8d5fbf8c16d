-- no transaction

-- Upvotes minus downvotes of each post that was ever voted on, kept by triggers: right whoever
-- writes, a cascade included. Rows are updated often and in place: half of each page stays free.
-- Whatever the session that fires a trigger finds first, the triggers find these tables.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
DROP TRIGGER IF EXISTS votes_counted_after_insert ON votes;
DROP TRIGGER IF EXISTS votes_counted_after_update ON votes;
DROP TRIGGER IF EXISTS votes_counted_after_delete ON votes;
DROP TABLE IF EXISTS vote_counts;
CREATE TABLE vote_counts (
    post_id bigint PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    votes bigint NOT NULL
) WITH (fillfactor = 50);
-- Counts are touched in the order of their posts, so that two batches never wait for each other.
CREATE OR REPLACE FUNCTION count_votes_added() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    RETURN NULL;
END $$;
-- A count that is not there went with its post, or is not made yet.
CREATE OR REPLACE FUNCTION count_votes_removed() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM vote_counts
      WHERE post_id IN (SELECT post_id FROM removed) ORDER BY post_id FOR UPDATE;
    UPDATE vote_counts AS counted SET votes = counted.votes - gone.votes
      FROM (SELECT post_id, sum(dir) AS votes FROM removed GROUP BY post_id) AS gone
     WHERE counted.post_id = gone.post_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION count_votes_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir)
      FROM (SELECT post_id, dir FROM added
            UNION ALL
            SELECT post_id, -dir FROM removed) AS both_sides
     GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    RETURN NULL;
END $$;
CREATE TRIGGER votes_counted_after_insert AFTER INSERT ON votes
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_added();
CREATE TRIGGER votes_counted_after_update AFTER UPDATE ON votes
    REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_changed();
CREATE TRIGGER votes_counted_after_delete AFTER DELETE ON votes
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_removed();

-- outside of a transaction
-- From here on every change is counted, and what was there before is counted now: some posts at a
-- time, so that whoever votes waits for a moment only. Under the lock no vote is under way, and the
-- numbers are right whatever the triggers did before.
DO $$
DECLARE
    first bigint := 0;
    last bigint;
    patience int := 600;
BEGIN
    LOOP
        SELECT max(id) INTO last
          FROM (SELECT id FROM posts WHERE id >= first ORDER BY id LIMIT 1000) AS posts_of_range;
        EXIT WHEN last IS NULL;
        BEGIN
            LOCK TABLE votes IN SHARE ROW EXCLUSIVE MODE;
            INSERT INTO vote_counts AS counted (post_id, votes)
            SELECT post_id, sum(dir) FROM votes
             WHERE post_id BETWEEN first AND last GROUP BY post_id
            ON CONFLICT (post_id) DO UPDATE SET votes = excluded.votes;
            UPDATE vote_counts SET votes = 0
             WHERE post_id BETWEEN first AND last AND votes <> 0
               AND NOT EXISTS (SELECT FROM votes WHERE votes.post_id = vote_counts.post_id);
            first := last + 1;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            patience := patience - 1;
            IF patience = 0 THEN
                RAISE;
            END IF;
        END;
        COMMIT;
    END LOOP;
END $$;
