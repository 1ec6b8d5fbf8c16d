-- no transaction
-- 1 is an upvote, -1 a downvote. What was cast before was cast up.
ALTER TABLE votes ADD COLUMN IF NOT EXISTS dir smallint NOT NULL DEFAULT 1;

-- Old votes are checked on their own: nobody votes while a column and its check are added together.
ALTER TABLE votes
    DROP CONSTRAINT IF EXISTS votes_dir_check,
    ADD CONSTRAINT votes_dir_check CHECK (dir IN (-1, 1)) NOT VALID;
ALTER TABLE votes VALIDATE CONSTRAINT votes_dir_check;
