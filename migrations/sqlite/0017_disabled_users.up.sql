-- When an operator disabled the account, in microseconds since 1970; null for an account that is not
-- disabled.
ALTER TABLE users ADD COLUMN disabled_at INTEGER;
