-- no transaction
-- A retry of an interrupted refresh counts from the rotation again.
ALTER TABLE sessions DROP COLUMN IF EXISTS unconfirmed_hash;
