-- no transaction
-- The names are lost.
ALTER TABLE users DROP COLUMN IF EXISTS name;
