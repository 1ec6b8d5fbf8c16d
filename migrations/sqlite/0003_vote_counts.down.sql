DROP TRIGGER votes_counted_after_delete;
DROP TRIGGER votes_counted_after_update;
DROP TRIGGER votes_counted_after_insert;
DROP TABLE vote_counts;
