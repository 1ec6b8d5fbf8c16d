DROP TRIGGER posts_searchable_after_delete;
DROP TRIGGER posts_searchable_after_update;
DROP TRIGGER posts_searchable_after_insert;
DROP TABLE post_search;
DROP VIEW searched_titles;
