//! Mail: where it goes, what it says, and the queue that sends it. The service sends only plain text
//! with fixed words, to the e-mail of one account at a time.
//!
//! Not here: who gets a mail, see `api/mails.rs`; the tokens of links, see `auth/mail_link.rs`.

mod configuration;
mod content;
mod mailer;
mod message;
mod public_url;
mod send_error;
mod smtp_connection;
mod smtp_url;
#[cfg(test)]
mod tests;
mod transport;

pub use configuration::MailConfig;
pub use content::Mail;
pub use lettre::Message;
pub use mailer::{Delivery, Mailer, QueuePermit, RETRY_WAITS};
pub use message::{Sender, UnusableSender};
pub use public_url::{PublicUrl, UnusablePublicUrl};
pub use send_error::SendError;
pub use smtp_url::{Encryption, MailServer, SmtpServer, UnusableSmtpUrl};
pub use transport::{ConsoleTransport, SmtpTransport, Transport};
