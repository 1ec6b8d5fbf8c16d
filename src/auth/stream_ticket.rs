//! Tickets for streams of changes. An `EventSource` of a browser sends no header, so a client buys a
//! ticket with its token and puts the ticket into the URL.
//!
//! A ticket is a JWT of the same keys with the audience `changes`, valid for one minute. It opens
//! nothing else: access tokens have no audience. It carries the limits of the token that bought it,
//! so a stream ends no later than one that this token opens.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::token::MAX_TOKEN_BYTES;
use super::{InvalidToken, TokenError, Tokens, ValidToken};
use crate::domain::caller::ValidFromRange;
use crate::domain::user::UserId;

/// How long a ticket opens streams.
pub const TICKET_LIFETIME: Duration = Duration::from_mins(1);

const AUDIENCE: &str = "changes";

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    user_id: i64,
    /// In seconds since 1970.
    exp: i64,
    /// When the token expires, in microseconds since 1970.
    token_exp: i64,
    /// The values of `tokens_valid_from` for which the account accepts the token, in microseconds.
    valid_from: [i64; 2],
}

impl Tokens {
    /// Returns a ticket for streams of the token's account.
    ///
    /// # Errors
    /// [`TokenError`] if signing fails.
    pub fn issue_ticket(&self, token: &ValidToken) -> Result<String, TokenError> {
        let ends = self.clock.now().saturating_add(TICKET_LIFETIME);
        let range = token.valid_from_range;
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            user_id: token.user_id.0,
            exp: ends.unwrap_or(Timestamp::MAX).as_second(),
            token_exp: token.expires.as_microsecond(),
            valid_from: [range.earliest(), range.latest()].map(Timestamp::as_microsecond),
        };
        Ok(self.keys.sign(&claims)?)
    }

    /// Returns the token that bought the ticket.
    ///
    /// # Errors
    /// [`InvalidToken`] if the text is no ticket, or if ticket or token have expired.
    pub fn verify_ticket(&self, ticket: &str) -> Result<ValidToken, InvalidToken> {
        if ticket.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken("too long"));
        }
        let decoded = self.keys.decode::<Claims>(ticket).map_err(|_| InvalidToken("no ticket"))?;
        let claims = decoded.claims;
        if claims.aud != AUDIENCE || decoded.header.crit.is_some() {
            return Err(InvalidToken("no ticket"));
        }
        let time = |microseconds| {
            Timestamp::from_microsecond(microseconds).map_err(|_| InvalidToken("bad ticket"))
        };
        let (expires, now) = (time(claims.token_exp)?, self.clock.now());
        if claims.exp <= now.as_second() || expires <= now {
            return Err(InvalidToken("expired"));
        }
        let [earliest, latest] = claims.valid_from;
        let valid_from_range = ValidFromRange::between(time(earliest)?, time(latest)?);
        Ok(ValidToken { user_id: UserId(claims.user_id), valid_from_range, expires })
    }
}
