-- The writes that were sent with an idempotency key, for a day. A retry is answered from its own values and
-- from what its row keeps: the outcome (1 created, 2 changed, 3 deleted), the ID of the post, the time in the
-- reply, and the part of the reply that the request did not say. No row has a password or its hash. A post may
-- be deleted before its rows expire, so post_id refers to no table. Times are microseconds since 1970.
CREATE TABLE idempotency_keys (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome INTEGER NOT NULL,
    post_id INTEGER,
    at INTEGER NOT NULL,
    reply BLOB,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID, STRICT;

CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);
