-- no transaction
DROP TABLE IF EXISTS idempotency_keys;
