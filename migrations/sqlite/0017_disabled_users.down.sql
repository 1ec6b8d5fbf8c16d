-- Disabled accounts can log in again. Their earlier tokens stay revoked.
ALTER TABLE users DROP COLUMN disabled_at;
