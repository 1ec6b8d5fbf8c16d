-- The extension goes if it was made for this, and nobody else has come to use it.
DROP INDEX IF EXISTS post_search;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm'
                AND obj_description(oid, 'pg_extension') = 'made for post_search, and goes with it')
    THEN
        DROP EXTENSION pg_trgm;
    END IF;
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE WARNING '%', SQLERRM;
END $$;
