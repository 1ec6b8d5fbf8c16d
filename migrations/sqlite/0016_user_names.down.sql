-- The names are lost.
ALTER TABLE users DROP COLUMN name;
