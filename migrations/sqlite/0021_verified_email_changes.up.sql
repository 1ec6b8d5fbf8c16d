-- A new e-mail is unverified, also if the statement that sets it comes from a program that does not
-- know email_verified_at.
CREATE TRIGGER email_verification_removed AFTER UPDATE OF email ON users
    WHEN new.email <> old.email AND new.email_verified_at = old.email_verified_at
BEGIN
    UPDATE users SET email_verified_at = NULL WHERE id = new.id;
END;
