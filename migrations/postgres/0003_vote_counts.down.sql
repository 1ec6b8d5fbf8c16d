DROP TRIGGER IF EXISTS votes_counted_after_truncate ON votes;
DROP TRIGGER IF EXISTS votes_counted_after_delete ON votes;
DROP TRIGGER IF EXISTS votes_counted_after_update ON votes;
DROP TRIGGER IF EXISTS votes_counted_after_insert ON votes;
DROP FUNCTION IF EXISTS count_votes_truncated();
DROP FUNCTION IF EXISTS count_votes_changed();
DROP FUNCTION IF EXISTS count_votes_removed();
DROP FUNCTION IF EXISTS count_votes_added();
DROP TABLE IF EXISTS vote_counts;
