-- no transaction
-- The closed accounts. Their posts and votes are deleted in slices, and this row with the account,
-- at the end. Until then no statement of a request shows anything of the account.
CREATE TABLE IF NOT EXISTS account_deletions (
    user_id bigint PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE
);
