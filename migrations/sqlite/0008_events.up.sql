-- What has happened to accounts, for their owners to see. Times are microseconds since 1970.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    is_refusal INTEGER NOT NULL,
    at INTEGER NOT NULL,
    client TEXT
) STRICT;

CREATE INDEX events_user ON events (user_id, id);
