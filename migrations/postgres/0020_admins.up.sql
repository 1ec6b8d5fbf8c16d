-- no transaction
-- Whether the account may read the administration. Programs that do not know the column insert and
-- read accounts as before, and the constant default rewrites no row.
ALTER TABLE users ADD COLUMN IF NOT EXISTS is_admin boolean NOT NULL DEFAULT false;
