-- Which e-mails are verified is lost.
ALTER TABLE users DROP COLUMN email_verified_at;
