//! Turns a mail into an Internet message (RFC 5322). The builder encodes every field, so no text can
//! add a header field.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, MessageBuilder};

use super::content::Mail;
use super::public_url::PublicUrl;
use super::send_error::SendError;

/// The text is no e-mail address, with or without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give an e-mail address, or a name with it, such as Posts <no-reply@example.org>")]
pub struct UnusableSender;

/// The sender of all mails (`MAIL_FROM`).
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl Sender {
    /// # Errors
    /// [`UnusableSender`] if the text is no e-mail address, with or without a name.
    pub fn parse(text: &str) -> Result<Self, UnusableSender> {
        text.parse().map(Self).map_err(|_| UnusableSender)
    }
}

/// The header field `Auto-Submitted`: vacation responders do not answer such a mail (RFC 3834, 5).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Builds the message.
///
/// # Errors
/// [`SendError::Recipient`] if the e-mail cannot be written in a message. An adopted database may
/// have any text as an e-mail.
pub(super) fn build(
    mail: &Mail,
    Sender(sender): &Sender,
    url: &PublicUrl,
    now: Timestamp,
) -> Result<Message, SendError> {
    let recipient = recipient(mail.to().as_str()).ok_or(SendError::Recipient)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| SendError::Message)?;
    let id = format!("<{}@{}>", hex::encode(random), sender.email.domain());
    let builder: MessageBuilder = Message::builder();
    builder
        .date(SystemTime::from(now))
        .message_id(Some(id))
        .from(sender.clone())
        .to(recipient)
        .subject(mail.subject())
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(body(mail.text(url)))
        .map_err(|_| SendError::Message)
}

/// Keeps a link on one line, which may have 998 characters (RFC 5322, 2.1.1). The encoding that the
/// builder would choose breaks lines after 76.
fn body(text: String) -> Body {
    if text.is_ascii() && text.lines().all(|line| line.len() <= 998) {
        let lines = text.replace('\n', "\r\n").into_bytes();
        Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text)
    }
}

/// Writes the domain in ASCII, which every server understands.
fn recipient(email: &str) -> Option<Mailbox> {
    let (local, domain) = email.rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    let address = lettre::Address::new(local, domain).ok()?;
    Some(Mailbox::new(None, address))
}
