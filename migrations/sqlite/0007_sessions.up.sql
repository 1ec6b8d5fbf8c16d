-- Who stays signed in: a row for each sign-in that was asked to last. Of tokens only SHA-256 is kept, and
-- of the present token's predecessor too, so that a repeated request can be told from a stolen token.
-- Times are microseconds since 1970.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tokens_valid_from INTEGER NOT NULL,
    family_hash BLOB NOT NULL,
    link_hash BLOB NOT NULL,
    previous_hash BLOB,
    salt BLOB,
    user_agent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_user ON sessions (user_id, used_at);
