ALTER TABLE users ALTER COLUMN tokens_valid_from SET DEFAULT to_timestamp(0);
DROP FUNCTION first_tokens_valid_from();
DROP TABLE installation;
