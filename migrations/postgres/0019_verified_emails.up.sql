-- no transaction
-- When the owner first proved to read the e-mail of the account; null until then, and after a change
-- of the e-mail. Programs that do not know the column insert and read accounts as before.
ALTER TABLE users ADD COLUMN IF NOT EXISTS email_verified_at timestamptz;
