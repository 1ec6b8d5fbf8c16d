-- no transaction

-- Every three characters that follow one another in the first 1,000 of a title: what a search looks
-- at. A title may be much longer, and indexing it would hold up whoever writes it. Where the role
-- may not have the extension, a search looks through the newest posts alone.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        CREATE EXTENSION pg_trgm;
        COMMENT ON EXTENSION pg_trgm IS 'made for post_search, and goes with it';
    END IF;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE WARNING '%', SQLERRM;
END $$;

SELECT set_config('search_path', concat_ws(', ', current_setting('search_path'),
    (SELECT quote_ident(nspname) FROM pg_extension
       JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm')), false);

SET lock_timeout = 0;

DROP INDEX CONCURRENTLY IF EXISTS post_search;

-- where pg_trgm is
CREATE INDEX CONCURRENTLY post_search ON posts USING gin (left(title, 1000) gin_trgm_ops);
