-- no transaction
-- The writes that were sent with an idempotency key, for a day. A retry is answered from its own values and
-- from what its row keeps: the outcome (1 created, 2 changed, 3 deleted), the ID of the post, the time in the
-- reply, and the part of the reply that the request did not say. No row has a password or its hash. A post may
-- be deleted before its rows expire, so post_id refers to no table.
CREATE TABLE IF NOT EXISTS idempotency_keys (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    outcome smallint NOT NULL,
    post_id bigint,
    at timestamptz NOT NULL,
    reply bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);

CREATE INDEX IF NOT EXISTS idempotency_keys_expires ON idempotency_keys (expires_at);
