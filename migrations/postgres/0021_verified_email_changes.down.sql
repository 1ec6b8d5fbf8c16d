-- no transaction
-- Programs that do not know email_verified_at keep it when they change an e-mail.
DROP TRIGGER IF EXISTS email_verification_removed ON users;
DROP FUNCTION IF EXISTS remove_email_verification();
