-- Tokens that were ended and have not expired are accepted again.
ALTER TABLE users DROP COLUMN tokens_valid_from;
