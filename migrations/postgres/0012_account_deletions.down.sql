-- no transaction
-- An older version would show what is left of a closed account. So the closed accounts are deleted
-- first, in short transactions, and the table is dropped when it is empty.
DO $$
DECLARE
    account bigint;
    slice bigint[];
BEGIN
    IF to_regclass('account_deletions') IS NULL THEN
        RETURN;
    END IF;
    LOOP
        SELECT min(user_id) INTO account FROM account_deletions;
        IF account IS NULL THEN
            -- No account can be closed between the lock and the end of the table.
            LOCK TABLE account_deletions IN ACCESS EXCLUSIVE MODE;
            SELECT min(user_id) INTO account FROM account_deletions;
            IF account IS NULL THEN
                DROP TABLE account_deletions;
                RETURN;
            END IF;
            COMMIT;
        END IF;
        LOOP
            SELECT array_agg(post_id) INTO slice
              FROM (SELECT post_id FROM votes WHERE user_id = account LIMIT 1000) AS next;
            EXIT WHEN slice IS NULL;
            DELETE FROM votes WHERE user_id = account AND post_id = ANY (slice);
            COMMIT;
        END LOOP;
        LOOP
            SELECT array_agg(id) INTO slice
              FROM (SELECT id FROM posts WHERE owner_id = account LIMIT 200) AS next;
            EXIT WHEN slice IS NULL;
            LOOP
                DELETE FROM votes
                 WHERE (post_id, user_id) IN (SELECT post_id, user_id FROM votes
                                               WHERE post_id = ANY (slice) LIMIT 1000);
                EXIT WHEN NOT FOUND;
                COMMIT;
            END LOOP;
            DELETE FROM posts WHERE id = ANY (slice);
            COMMIT;
        END LOOP;
        DELETE FROM users WHERE id = account;
        COMMIT;
    END LOOP;
END $$;
