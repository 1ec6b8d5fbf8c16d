-- no transaction
-- No account is an administrator any more.
ALTER TABLE users DROP COLUMN IF EXISTS is_admin;
