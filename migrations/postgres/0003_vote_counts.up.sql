-- no transaction
-- Upvotes minus downvotes of each post that was ever voted on, kept by triggers: right whoever
-- writes, a cascade and the reference included. Rows are updated often and in place: half of each
-- page stays free.
CREATE TABLE IF NOT EXISTS vote_counts (
    post_id bigint PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    votes bigint NOT NULL
) WITH (fillfactor = 50);

-- The functions look in one schema only, whatever session they run in, and may write counts whoever
-- votes: the reference's role too. Counts are touched in the order of their posts, so that two
-- batches never wait for each other.
CREATE OR REPLACE FUNCTION count_votes_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    RETURN NULL;
END $$;

-- A post that goes may have taken its count along already: nothing is made anew here.
CREATE OR REPLACE FUNCTION count_votes_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
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
    DELETE FROM vote_counts;
    RETURN NULL;
END $$;

-- From here on a vote that is cast has a count to be kept in, if not yet the right one.
CREATE OR REPLACE TRIGGER votes_counted_after_insert AFTER INSERT ON votes
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_added();

-- So have the votes that were cast before, after this. The posts are walked in short pieces, none
-- of which need outlive a crash: the step would begin again.
SET synchronous_commit = off;
DO $$
DECLARE
    piece bigint[];
    reached bigint := -9223372036854775808;
BEGIN
    LOOP
        SELECT array_agg(id) INTO piece
          FROM (SELECT id FROM posts WHERE id > reached ORDER BY id LIMIT 1000) AS next;
        EXIT WHEN piece IS NULL;
        INSERT INTO vote_counts (post_id, votes)
        SELECT id, 0 FROM posts
         WHERE id = ANY (piece) AND EXISTS (SELECT FROM votes WHERE post_id = posts.id)
         ORDER BY id FOR KEY SHARE
        ON CONFLICT DO NOTHING;
        COMMIT;
        SELECT max(id) INTO reached FROM unnest(piece) AS id;
    END LOOP;
END $$;

-- Now every vote that goes or turns meets a count, and waits for it below.
CREATE OR REPLACE TRIGGER votes_counted_after_update AFTER UPDATE ON votes
    REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_changed();

CREATE OR REPLACE TRIGGER votes_counted_after_delete AFTER DELETE ON votes
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_removed();

CREATE OR REPLACE TRIGGER votes_counted_after_truncate AFTER TRUNCATE ON votes
    FOR EACH STATEMENT EXECUTE FUNCTION count_votes_truncated();

-- Counts a few posts at a time. Whoever changes a vote holds its post's count to the end of their
-- transaction: once a count is ours, the votes that we see are those that it is to contain, and the
-- votes that we do not see are added to it when we let go.
DO $$
DECLARE
    piece bigint[];
    reached bigint := -9223372036854775808;
    refusals integer := 0;
BEGIN
    LOOP
        SELECT array_agg(post_id) INTO piece
          FROM (SELECT post_id FROM vote_counts
                 WHERE post_id > reached ORDER BY post_id LIMIT 200) AS next;
        EXIT WHEN piece IS NULL;
        BEGIN
            PERFORM FROM vote_counts WHERE post_id = ANY (piece) ORDER BY post_id FOR UPDATE;
            UPDATE vote_counts AS counted SET votes = cast_on.votes
              FROM (SELECT id, (SELECT coalesce(sum(dir), 0) FROM votes WHERE post_id = id) AS votes
                      FROM unnest(piece) AS id) AS cast_on
             WHERE counted.post_id = cast_on.id AND counted.votes <> cast_on.votes;
            SELECT max(id) INTO reached FROM unnest(piece) AS id;
            refusals := 0;
        EXCEPTION
            -- Somebody holds a count for long; that nobody waits for us, we let go of the others.
            WHEN lock_not_available OR deadlock_detected THEN
                refusals := refusals + 1;
                IF refusals = 100 THEN RAISE; END IF;
        END;
        COMMIT;
    END LOOP;
END $$;
RESET synchronous_commit;
