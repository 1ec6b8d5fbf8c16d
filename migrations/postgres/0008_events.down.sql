-- no transaction
DROP TABLE IF EXISTS events;
