-- no transaction
-- A new e-mail is unverified, also if the statement that sets it comes from a program that does not
-- know email_verified_at. The function only changes the row of its trigger, with no right of its own.
-- The trigger names no column: PostgreSQL refuses to change the type of a column that it names.
CREATE OR REPLACE FUNCTION remove_email_verification() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.email <> OLD.email AND NEW.email_verified_at = OLD.email_verified_at THEN
        NEW.email_verified_at := NULL;
    END IF;
    RETURN NEW;
END $$; REVOKE EXECUTE ON FUNCTION remove_email_verification() FROM PUBLIC;

CREATE OR REPLACE TRIGGER email_verification_removed BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION remove_email_verification();
