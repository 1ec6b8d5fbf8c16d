-- What belongs to the database itself, in one row. The key is for later releases and signs no token.
-- tokens_valid_from is when the tokens of all accounts were last revoked, in microseconds since 1970; 0 never.
CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL,
    tokens_valid_from INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO installation (one, key) VALUES (1, randomblob(32));
