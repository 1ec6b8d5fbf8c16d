-- What belongs to the database itself, in one row. The key is for later releases: it is the same for every
-- process, and signs no token. tokens_valid_from is when the tokens of all accounts were last revoked; 1970 never.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL,
    tokens_valid_from timestamptz NOT NULL DEFAULT to_timestamp(0)
);

INSERT INTO installation (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- Until the tokens of an account are first revoked, its tokens_valid_from is as long before 1970 as the account
-- was created after 1970, in whole seconds. A token of an earlier account with the same ID is older than that.
-- After the tokens of all accounts were revoked, it is the time of creation. Accounts from before this migration
-- keep 1970. The function runs as its owner: a program that signs users up needs no right on the table.
CREATE FUNCTION first_tokens_valid_from() RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT coalesce(
        (SELECT greatest(date_trunc('second', now()), tokens_valid_from + interval '1 microsecond')
           FROM installation WHERE tokens_valid_from > to_timestamp(0)),
        to_timestamp(-floor(extract(epoch FROM now()))::double precision)
    )
$$;

ALTER TABLE users ALTER COLUMN tokens_valid_from SET DEFAULT first_tokens_valid_from();
