-- no transaction
-- A new e-mail is unverified, also if the statement that sets it comes from a program that does not
-- know email_verified_at. The function only changes the row of its trigger, with no right of its own.
-- Neither it nor the trigger refers to the type of a column, so that the types can be changed while
-- sessions use them: that is why the function compares JSON.
CREATE OR REPLACE FUNCTION remove_email_verification() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    before jsonb := to_jsonb(OLD);
    after jsonb := to_jsonb(NEW);
BEGIN
    IF after ->> 'email' <> before ->> 'email'
       AND after ->> 'email_verified_at' = before ->> 'email_verified_at' THEN
        NEW.email_verified_at := NULL;
    END IF;
    RETURN NEW;
END $$; REVOKE EXECUTE ON FUNCTION remove_email_verification() FROM PUBLIC;

CREATE OR REPLACE TRIGGER email_verification_removed BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION remove_email_verification();
