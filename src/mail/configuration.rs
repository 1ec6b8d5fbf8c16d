//! The settings of mail, checked.

use super::message::Sender;
use super::public_url::PublicUrl;
use super::smtp_url::MailServer;

/// The three settings of mail. `Debug` does not show the password of the server.
#[derive(Debug, Clone)]
pub struct MailConfig {
    pub server: MailServer,
    pub sender: Sender,
    pub public_url: PublicUrl,
}
