-- no transaction
-- Without directions a downvote would read as an upvote. No new ones come in while the old ones go,
-- and nobody waits for that.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = 'votes'::regclass AND attname = 'dir' AND NOT attisdropped) THEN
        ALTER TABLE votes
            DROP CONSTRAINT IF EXISTS votes_dir_check,
            ADD CONSTRAINT votes_dir_check CHECK (dir = 1) NOT VALID;
        COMMIT;
        DELETE FROM votes WHERE dir = -1;
    END IF;
END $$;
ALTER TABLE votes DROP COLUMN IF EXISTS dir;
