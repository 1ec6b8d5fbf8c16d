-- A new e-mail is unverified, also if the statement that sets it comes from a program that does not
-- know email_verified_at.
CREATE TRIGGER email_verification_removed AFTER UPDATE OF email ON users
    WHEN old.email IS NOT new.email AND new.email_verified_at IS NOT NULL
     AND old.email_verified_at IS new.email_verified_at
BEGIN
    UPDATE users SET email_verified_at = NULL WHERE id = new.id;
END;
