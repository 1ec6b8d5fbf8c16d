-- no transaction
-- The name that an account shows to others; null for none. Programs that do not know the column
-- insert and read accounts as before.
ALTER TABLE users ADD COLUMN IF NOT EXISTS name text;
