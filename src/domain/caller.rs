//! The caller: the account that a request acts for.

use jiff::Timestamp;

use super::policy::DraftVisibility;
use super::user::{TokensValidFrom, UserId};

/// The user of a verified token, the drafts that they can see, and the validity of the token.
///
/// The token's signature and dates are already verified. The store checks whether the account still
/// exists and accepts the token. That check is part of the operation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub draft_visibility: DraftVisibility,
    pub valid_from_range: ValidFromRange,
}

/// The values of [`TokensValidFrom`] for which an account accepts a token. The account's value only
/// increases, so a rejected token stays rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValidFromRange {
    earliest: Timestamp,
    latest: Timestamp,
}

impl ValidFromRange {
    /// Returns the range of a token that contains its `tokens_valid_from`: only this value. The
    /// comparison needs no clock.
    #[must_use]
    pub fn of(tokens_valid_from: TokensValidFrom) -> Self {
        Self { earliest: tokens_valid_from.0, latest: tokens_valid_from.0 }
    }

    /// Returns the range of a token that contains no such value and was issued at `time` or later.
    #[must_use]
    pub fn issued_at(time: Timestamp) -> Self {
        let earliest = TokensValidFrom::default().0;
        Self { earliest, latest: time.max(earliest) }
    }

    /// Whether an account with this value accepts the token.
    #[must_use]
    pub fn accepts(self, tokens_valid_from: TokensValidFrom) -> bool {
        (self.earliest..=self.latest).contains(&tokens_valid_from.0)
    }

    #[must_use]
    pub fn earliest(self) -> Timestamp {
        self.earliest
    }

    #[must_use]
    pub fn latest(self) -> Timestamp {
        self.latest
    }
}

impl Default for ValidFromRange {
    /// Returns the range of a token whose account has never revoked its tokens.
    fn default() -> Self {
        Self::of(TokensValidFrom::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(microsecond: i64) -> Timestamp {
        Timestamp::from_microsecond(microsecond).unwrap()
    }

    #[test]
    fn token_with_tokens_valid_from_is_valid_only_for_this_value() {
        let valid_from_range = ValidFromRange::of(TokensValidFrom(at(7)));
        for (tokens_valid_from, accepted) in [(0, false), (6, false), (7, true), (8, false)] {
            assert_eq!(
                valid_from_range.accepts(TokensValidFrom(at(tokens_valid_from))),
                accepted,
                "{tokens_valid_from}"
            );
        }
        assert!(ValidFromRange::default().accepts(TokensValidFrom::default()));
    }

    #[test]
    fn token_without_tokens_valid_from_is_valid_for_values_up_to_its_time() {
        let valid_from_range = ValidFromRange::issued_at(at(7));
        for (tokens_valid_from, accepted) in [(0, true), (7, true), (8, false)] {
            assert_eq!(
                valid_from_range.accepts(TokensValidFrom(at(tokens_valid_from))),
                accepted,
                "{tokens_valid_from}"
            );
        }
        // The tokens of this account were never revoked, so the token's time does not matter.
        assert!(ValidFromRange::issued_at(at(-7)).accepts(TokensValidFrom::default()));
    }
}
