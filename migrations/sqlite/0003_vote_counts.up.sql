-- Upvotes minus downvotes of each post that was ever voted on, kept by triggers: right whoever
-- writes, a cascade included. (SQLite tells no trigger of the row that INSERT OR REPLACE removes:
-- use ON CONFLICT DO UPDATE. And a program must have its foreign keys on, or it leaves orphans.)
CREATE TABLE vote_counts (
    post_id INTEGER PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    votes INTEGER NOT NULL
) STRICT;

INSERT INTO vote_counts (post_id, votes)
SELECT post_id, sum(dir) FROM votes GROUP BY post_id;

CREATE TRIGGER votes_counted_after_insert AFTER INSERT ON votes BEGIN
    INSERT INTO vote_counts (post_id, votes) VALUES (new.post_id, new.dir)
    ON CONFLICT (post_id) DO UPDATE SET votes = votes + excluded.votes;
END;

CREATE TRIGGER votes_counted_after_update AFTER UPDATE ON votes BEGIN
    UPDATE vote_counts SET votes = votes - old.dir WHERE post_id = old.post_id;
    INSERT INTO vote_counts (post_id, votes) VALUES (new.post_id, new.dir)
    ON CONFLICT (post_id) DO UPDATE SET votes = votes + excluded.votes;
END;

-- When the post itself goes, its count may have gone first: then there is nothing to update.
CREATE TRIGGER votes_counted_after_delete AFTER DELETE ON votes BEGIN
    UPDATE vote_counts SET votes = votes - old.dir WHERE post_id = old.post_id;
END;
