-- No account is an administrator any more.
ALTER TABLE users DROP COLUMN is_admin;
