-- Every three characters that follow one another in the first 1,000 of a title: what a search looks
-- at. A title may be much longer, and indexing it would hold up whoever writes it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX post_search ON posts USING gin (left(title, 1000) gin_trgm_ops);
