-- 1 is an upvote, -1 a downvote. What was cast before was cast up.
ALTER TABLE votes ADD COLUMN dir smallint NOT NULL DEFAULT 1 CHECK (dir IN (-1, 1));
