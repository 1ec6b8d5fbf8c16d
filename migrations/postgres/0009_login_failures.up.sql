-- no transaction
-- Wrong passwords in a row, by a keyed hash of the address that they were tried for: whether it has an
-- account or not.
CREATE TABLE IF NOT EXISTS login_failures (
    account bigint PRIMARY KEY,
    failures integer NOT NULL,
    forgotten_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS login_failures_forgotten ON login_failures (forgotten_at);
