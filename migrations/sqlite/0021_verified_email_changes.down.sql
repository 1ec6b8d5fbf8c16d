-- Programs that do not know email_verified_at keep it when they change an e-mail.
DROP TRIGGER email_verification_removed;
