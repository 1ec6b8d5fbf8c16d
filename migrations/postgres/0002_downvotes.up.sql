-- no transaction

-- 1 is an upvote, -1 a downvote. What was cast before was cast up. (A constant default is not
-- written into the rows, and a constraint that is checked later holds up nobody who writes.)
ALTER TABLE votes ADD COLUMN IF NOT EXISTS dir smallint NOT NULL DEFAULT 1;

ALTER TABLE votes DROP CONSTRAINT IF EXISTS votes_dir_check;
ALTER TABLE votes ADD CONSTRAINT votes_dir_check CHECK (dir IN (-1, 1)) NOT VALID;

SET lock_timeout = 0;

ALTER TABLE votes VALIDATE CONSTRAINT votes_dir_check;
