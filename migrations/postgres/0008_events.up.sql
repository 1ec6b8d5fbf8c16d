-- no transaction
-- What has happened to accounts, for their owners to see.
CREATE TABLE IF NOT EXISTS events (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind text NOT NULL,
    is_refusal boolean NOT NULL,
    at timestamptz NOT NULL,
    client text
);

CREATE INDEX IF NOT EXISTS events_user ON events (user_id, id);
