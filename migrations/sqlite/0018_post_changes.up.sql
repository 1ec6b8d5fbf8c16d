-- The log of changes that streams are made of, and whether it is written. An epoch is one life of the
-- log: its value is random, and a place in the log is good for one epoch only. until is when the last
-- registration of a reader ends. Changes up to trimmed_id may have been deleted. Times are
-- microseconds since 1970.
CREATE TABLE change_log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL DEFAULT 0,
    trimmed_id INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO change_log (one, epoch) VALUES (1, random());

-- A row says who changed and how, and has no text: kind 1 is a new post, 2 another title, content or
-- published, 3 a deleted post, 4 another number of votes, and 5 an account whose tokens were revoked
-- or that was disabled, enabled or deleted. was_published is the state before the change. The subject
-- of a row may be gone, so it refers to no table. AUTOINCREMENT: a place is never given twice.
CREATE TABLE post_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    post_id INTEGER,
    user_id INTEGER,
    kind INTEGER NOT NULL,
    was_published INTEGER,
    at INTEGER NOT NULL DEFAULT (1000000 * CAST(strftime('%s', 'now') AS INTEGER))
) STRICT;

-- The function strftime is in every version of SQLite that can open the database, unixepoch is not. The
-- first comparison is for databases that never had a reader: it saves half of the cost.
CREATE TRIGGER post_changes_after_insert AFTER INSERT ON posts
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
BEGIN
    INSERT INTO post_changes (post_id, kind, was_published) VALUES (new.id, 1, 0);
END;

CREATE TRIGGER post_changes_after_update AFTER UPDATE OF title, content, published ON posts
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
     AND (old.title IS NOT new.title OR old.content IS NOT new.content
          OR old.published IS NOT new.published)
BEGIN
    INSERT INTO post_changes (post_id, kind, was_published) VALUES (new.id, 2, old.published);
END;

CREATE TRIGGER post_changes_after_delete AFTER DELETE ON posts
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
BEGIN
    INSERT INTO post_changes (post_id, kind, was_published) VALUES (old.id, 3, old.published);
END;

CREATE TRIGGER vote_changes_after_insert AFTER INSERT ON vote_counts
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
BEGIN
    INSERT INTO post_changes (post_id, kind) VALUES (new.post_id, 4);
END;

CREATE TRIGGER vote_changes_after_update AFTER UPDATE OF votes ON vote_counts
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
BEGIN
    INSERT INTO post_changes (post_id, kind) VALUES (new.post_id, 4);
END;

CREATE TRIGGER user_changes_after_update AFTER UPDATE OF tokens_valid_from, disabled_at ON users
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
     AND (old.tokens_valid_from IS NOT new.tokens_valid_from
          OR old.disabled_at IS NOT new.disabled_at)
BEGIN
    INSERT INTO post_changes (user_id, kind) VALUES (new.id, 5);
END;

CREATE TRIGGER user_changes_after_delete AFTER DELETE ON users
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0 AND until > 1000000 * CAST(strftime('%s', 'now') AS INTEGER))
BEGIN
    INSERT INTO post_changes (user_id, kind) VALUES (old.id, 5);
END;
