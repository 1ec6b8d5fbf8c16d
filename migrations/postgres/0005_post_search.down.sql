-- no transaction
SET lock_timeout = '1min';
DROP INDEX CONCURRENTLY IF EXISTS post_search;

-- The extension goes if it came with the index, and nobody else has begun to use it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm'
                  AND obj_description(oid, 'pg_extension') = 'made by post-api db upgrade') THEN
        DROP EXTENSION pg_trgm;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
END $$;
