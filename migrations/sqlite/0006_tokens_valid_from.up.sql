-- When the tokens of an account were ended the last time, in microseconds since 1970; 0 never.
ALTER TABLE users ADD COLUMN tokens_valid_from INTEGER NOT NULL DEFAULT 0;
