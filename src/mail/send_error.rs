//! Why a mail was not sent. No text has an e-mail, a token or an answer of the server, which may
//! repeat the e-mail.

use lettre::transport::smtp;

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
    /// The server lacks an extension that the mail needs, such as STARTTLS or SMTPUTF8.
    #[error("the mail server cannot take the mail: {0}")]
    Capability(String),
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

impl From<smtp::Error> for SendError {
    fn from(error: smtp::Error) -> Self {
        if let Some(code) = error.status() {
            let (code, is_permanent) = (code.to_string(), error.is_permanent());
            return Self::Refused { code, is_permanent };
        }
        if error.is_response() {
            return Self::Response;
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The library describes these with constant texts, and with those of the system and of TLS.
        // Its text has all causes.
        let cause = error.to_string();
        if error.is_client() { Self::Capability(cause) } else { Self::Connection(cause) }
    }
}
