-- An older version would show what is left of a closed account. So the closed accounts are deleted
-- first, with all their rows.
DELETE FROM users WHERE id IN (SELECT user_id FROM account_deletions);

DROP TABLE account_deletions;
