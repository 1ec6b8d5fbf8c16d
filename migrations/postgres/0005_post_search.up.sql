-- Every three characters that follow one another in a title.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX post_search ON posts USING gin (title gin_trgm_ops);
