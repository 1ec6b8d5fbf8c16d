-- The extension stays: others may use it.
DROP INDEX post_search;
