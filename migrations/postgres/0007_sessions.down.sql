-- no transaction
DROP TABLE IF EXISTS sessions;
