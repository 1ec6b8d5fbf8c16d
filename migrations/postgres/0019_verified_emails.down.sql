-- no transaction
-- Which e-mails are verified is lost.
ALTER TABLE users DROP COLUMN IF EXISTS email_verified_at;
