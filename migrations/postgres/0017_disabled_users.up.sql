-- no transaction
-- When an operator disabled the account; null for an account that is not disabled. Programs that do
-- not know the column insert and read accounts as before.
ALTER TABLE users ADD COLUMN IF NOT EXISTS disabled_at timestamptz;
