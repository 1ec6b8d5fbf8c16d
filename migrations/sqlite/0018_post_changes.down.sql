-- Readers of the log miss the changes from here on, and a later upgrade begins a new epoch.
DROP TRIGGER user_changes_after_delete;
DROP TRIGGER user_changes_after_update;
DROP TRIGGER vote_changes_after_update;
DROP TRIGGER vote_changes_after_insert;
DROP TRIGGER post_changes_after_delete;
DROP TRIGGER post_changes_after_update;
DROP TRIGGER post_changes_after_insert;
DROP TABLE post_changes;
DROP TABLE change_log;
