-- no transaction
-- Every three characters that follow one another in the first 1,000 of a title: what a search looks
-- at. A title may be much longer, and indexing it would hold up whoever writes it.

-- Where the extension cannot be had, searches read the titles one by one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        CREATE EXTENSION pg_trgm;
        -- By this the way back knows that the extension may go.
        COMMENT ON EXTENSION pg_trgm IS 'made by post-api db upgrade';
    END IF;
EXCEPTION
    -- Not allowed, not installed, not offered by whoever runs the server.
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported
      OR invalid_parameter_value OR undefined_object THEN NULL;
END $$;

SET lock_timeout = '1min';
DROP INDEX CONCURRENTLY IF EXISTS post_search;
SELECT format('CREATE INDEX CONCURRENTLY post_search ON posts
    USING gin (left(title, 1000) %I.gin_trgm_ops)', nspname)
  FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
 WHERE extname = 'pg_trgm' AND has_schema_privilege(extnamespace, 'USAGE')
\gexec
