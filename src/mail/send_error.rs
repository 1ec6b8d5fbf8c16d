//! Why a mail was not sent. No text has an e-mail, a token or an answer of the server, which may
//! repeat the e-mail.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server answered with this code, 4xx or 5xx (RFC 5321, 4.2).
    #[error("the mail server answered {code}")]
    Refused { code: String, is_permanent: bool },
    #[error("the mail server cannot be reached: {0}")]
    Connection(String),
    #[error("the mail server did not answer in time")]
    Timeout,
    #[error("the mail server answered something else than SMTP")]
    Response,
    #[error("the mail server closed the connection, or sent more than 64 KiB")]
    Closed,
    /// The server lacks an extension that the mail needs, such as STARTTLS or SMTPUTF8.
    #[error("the mail server cannot take the mail: {0}")]
    Capability(&'static str),
    #[error("the e-mail of the account cannot be written in a mail")]
    Recipient,
    #[error("the mail could not be built")]
    Message,
}

impl SendError {
    /// Whether another try must fail too.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused { is_permanent: true, .. }
                | Self::Capability(_)
                | Self::Recipient
                | Self::Message
        )
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        // The text is that of the system or of TLS. It has no reply of the server.
        Self::Connection(error.to_string())
    }
}
