-- The log ends with a trace, and has the changes that other programs make of keys. While until is
-- greater than 0, every change is logged, or the change itself begins a new epoch and sets until to 0.
-- So a clock that was changed can lose no change. The log ends after its registration, or if the clock
-- was set back by more than an hour: then it would not end in time.
CREATE TRIGGER change_log_ends BEFORE INSERT ON post_changes
    WHEN EXISTS (SELECT 1 FROM change_log
                  WHERE until > 0
                    AND until - 1000000 * CAST(strftime('%s', 'now') AS INTEGER)
                        NOT BETWEEN 1 AND 7200000000)
BEGIN
    UPDATE change_log SET epoch = random(), until = 0;
    SELECT RAISE(IGNORE);
END;

DROP TRIGGER user_changes_after_delete;
DROP TRIGGER user_changes_after_update;
DROP TRIGGER vote_changes_after_update;
DROP TRIGGER vote_changes_after_insert;
DROP TRIGGER post_changes_after_delete;
DROP TRIGGER post_changes_after_update;
DROP TRIGGER post_changes_after_insert;

-- REPLACE deletes rows without the triggers for deletions. The first comparison is for inserts without
-- an ID: it saves the look at the log.
CREATE TRIGGER post_changes_before_insert BEFORE INSERT ON posts
    WHEN new.id > 0 AND EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, post_id, was_published)
    SELECT 3, id, published FROM posts WHERE id = new.id;
END;

CREATE TRIGGER post_changes_after_insert AFTER INSERT ON posts
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, post_id, was_published) VALUES (1, new.id, 0);
END;

-- Without a list of columns, because a statement can also name the ID rowid. UPDATE OR REPLACE deletes
-- the post that had the new ID.
CREATE TRIGGER post_changes_before_update BEFORE UPDATE ON posts
    WHEN old.id IS NOT new.id AND EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, post_id, was_published)
    SELECT 3, id, published FROM posts WHERE id IN (old.id, new.id);
    INSERT INTO post_changes (kind, post_id, was_published) VALUES (1, new.id, FALSE);
END;

CREATE TRIGGER post_changes_after_update
    AFTER UPDATE OF title, content, published, owner_id, created_at ON posts
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
     AND old.id IS new.id
     AND (old.title IS NOT new.title OR old.content IS NOT new.content
          OR old.published IS NOT new.published OR old.owner_id IS NOT new.owner_id
          OR old.created_at IS NOT new.created_at)
BEGIN
    INSERT INTO post_changes (kind, post_id, was_published) VALUES (2, new.id, old.published);
END;

CREATE TRIGGER post_changes_after_delete AFTER DELETE ON posts
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, post_id, was_published) VALUES (3, old.id, old.published);
END;

CREATE TRIGGER vote_changes_after_insert AFTER INSERT ON vote_counts
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, post_id) VALUES (4, new.post_id);
END;

CREATE TRIGGER vote_changes_after_update AFTER UPDATE OF votes ON vote_counts
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, post_id) VALUES (4, new.post_id);
END;

CREATE TRIGGER user_changes_before_insert BEFORE INSERT ON users
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, user_id)
    SELECT 5, id FROM users WHERE id = new.id OR email = new.email;
END;

CREATE TRIGGER user_changes_before_update BEFORE UPDATE ON users
    WHEN (old.id IS NOT new.id OR old.email IS NOT new.email)
     AND EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, user_id)
    SELECT 5, id FROM users
     WHERE (id = old.id AND id IS NOT new.id)
        OR (id IS NOT old.id AND (id = new.id OR email = new.email));
END;

CREATE TRIGGER user_changes_after_update AFTER UPDATE OF tokens_valid_from, disabled_at ON users
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
     AND (old.tokens_valid_from IS NOT new.tokens_valid_from
          OR old.disabled_at IS NOT new.disabled_at)
BEGIN
    INSERT INTO post_changes (kind, user_id) VALUES (5, new.id);
END;

CREATE TRIGGER user_changes_after_delete AFTER DELETE ON users
    WHEN EXISTS (SELECT 1 FROM change_log WHERE until > 0)
BEGIN
    INSERT INTO post_changes (kind, user_id) VALUES (5, old.id);
END;
