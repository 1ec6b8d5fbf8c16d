-- When the owner first proved to read the e-mail of the account, in microseconds since 1970; null
-- until then, and after a change of the e-mail.
ALTER TABLE users ADD COLUMN email_verified_at INTEGER;
