-- The name that an account shows to others; null for none.
ALTER TABLE users ADD COLUMN name TEXT;
