DROP TRIGGER user_changes_after_delete;
DROP TRIGGER user_changes_after_update;
DROP TRIGGER user_changes_before_update;
DROP TRIGGER user_changes_before_insert;
DROP TRIGGER vote_changes_after_update;
DROP TRIGGER vote_changes_after_insert;
DROP TRIGGER post_changes_after_delete;
DROP TRIGGER post_changes_after_update;
DROP TRIGGER post_changes_before_update;
DROP TRIGGER post_changes_after_insert;
DROP TRIGGER post_changes_before_insert;
DROP TRIGGER change_log_ends;

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
