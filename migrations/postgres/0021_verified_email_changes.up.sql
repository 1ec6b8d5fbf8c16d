-- no transaction
-- A new e-mail is unverified, also if the statement that sets it comes from a program that does not
-- know email_verified_at. The function only changes the row of its trigger, with no right of its own.
CREATE OR REPLACE FUNCTION remove_email_verification() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.email_verified_at := NULL;
    RETURN NEW;
END $$; REVOKE EXECUTE ON FUNCTION remove_email_verification() FROM PUBLIC;

CREATE OR REPLACE TRIGGER email_verification_removed BEFORE UPDATE OF email ON users
    FOR EACH ROW
    WHEN (OLD.email IS DISTINCT FROM NEW.email AND NEW.email_verified_at IS NOT NULL
          AND OLD.email_verified_at IS NOT DISTINCT FROM NEW.email_verified_at)
    EXECUTE FUNCTION remove_email_verification();
