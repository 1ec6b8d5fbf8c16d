-- Upvotes minus downvotes of each post that was ever voted on, kept by triggers: right whoever
-- writes, a cascade included. Rows are updated often and in place: half of each page stays free.
CREATE TABLE vote_counts (
    post_id bigint PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    votes bigint NOT NULL
) WITH (fillfactor = 50);

-- Nobody votes between the first count and the triggers.
LOCK TABLE votes IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO vote_counts (post_id, votes)
SELECT post_id, sum(dir) FROM votes GROUP BY post_id;

-- Counts are touched in the order of their posts, so that two batches never wait for each other.
CREATE FUNCTION count_votes_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO vote_counts AS counted (post_id, votes)
    SELECT post_id, sum(dir) FROM added GROUP BY post_id ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE SET votes = counted.votes + excluded.votes;
    RETURN NULL;
END $$;

CREATE FUNCTION count_votes_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM vote_counts
      WHERE post_id IN (SELECT post_id FROM removed) ORDER BY post_id FOR UPDATE;
    UPDATE vote_counts AS counted SET votes = counted.votes - gone.votes
      FROM (SELECT post_id, sum(dir) AS votes FROM removed GROUP BY post_id) AS gone
     WHERE counted.post_id = gone.post_id;
    RETURN NULL;
END $$;

CREATE FUNCTION count_votes_changed() RETURNS trigger LANGUAGE plpgsql AS $$
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
