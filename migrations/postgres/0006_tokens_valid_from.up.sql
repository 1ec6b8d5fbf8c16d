-- no transaction
-- When the tokens of an account were ended the last time; 1970 never.
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS tokens_valid_from timestamptz NOT NULL DEFAULT to_timestamp(0);
