-- no transaction
-- Disabled accounts can log in again. Their earlier tokens stay revoked.
ALTER TABLE users DROP COLUMN IF EXISTS disabled_at;
