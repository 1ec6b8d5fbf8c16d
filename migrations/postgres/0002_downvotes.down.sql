-- Without directions a downvote would read as an upvote.
DELETE FROM votes WHERE dir = -1;
ALTER TABLE votes DROP COLUMN dir;
