-- no transaction
-- Who stays signed in: a row for each sign-in that was asked to last. Of tokens only SHA-256 is kept, and
-- of the present token's predecessor too, so that a repeated request can be told from a stolen token.
CREATE TABLE IF NOT EXISTS sessions (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tokens_valid_from timestamptz NOT NULL,
    family_hash bytea NOT NULL,
    link_hash bytea NOT NULL,
    previous_hash bytea,
    salt bytea,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user_id, used_at);
