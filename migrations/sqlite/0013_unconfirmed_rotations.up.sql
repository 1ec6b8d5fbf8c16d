-- The current token of a session, until the service has recorded that the rotation to it succeeded.
-- While it equals link_hash, no client has that token, so the previous one can be retried.
ALTER TABLE sessions ADD COLUMN unconfirmed_hash BLOB;
