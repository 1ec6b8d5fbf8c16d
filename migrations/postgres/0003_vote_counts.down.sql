DROP TRIGGER votes_counted_after_delete ON votes;
DROP TRIGGER votes_counted_after_update ON votes;
DROP TRIGGER votes_counted_after_insert ON votes;
DROP FUNCTION count_votes_changed();
DROP FUNCTION count_votes_removed();
DROP FUNCTION count_votes_added();
DROP TABLE vote_counts;
