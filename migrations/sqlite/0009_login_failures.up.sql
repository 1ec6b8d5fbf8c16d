-- Wrong passwords in a row, by a keyed hash of the address that they were tried for: whether it has an
-- account or not. Times are microseconds since 1970.
CREATE TABLE login_failures (
    account INTEGER PRIMARY KEY,
    failures INTEGER NOT NULL,
    forgotten_at INTEGER NOT NULL
) STRICT;

CREATE INDEX login_failures_forgotten ON login_failures (forgotten_at);
