//! Who is asking.

use jiff::Timestamp;

use super::policy::DraftVisibility;
use super::user::{TokensValidFrom, UserId};

/// The user that a valid token names, what they may see, and how far that token reaches.
///
/// A value of this type proves the token's signature and dates, not that the account still exists or
/// still accepts the token: that is for the store to say, in the same step that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub drafts: DraftVisibility,
    pub valid_from_range: ValidFromRange,
}

/// The marks ([`TokensValidFrom`]) of its account that a token goes with: the account accepts the token
/// while its mark is one of these. A mark only ever grows, so that a token that is refused once is
/// refused for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValidFromRange {
    earliest: Timestamp,
    latest: Timestamp,
}

impl ValidFromRange {
    /// Of a token that was issued under this very mark. Compared by equality: no clock has a say.
    #[must_use]
    pub fn of(tokens_valid_from: TokensValidFrom) -> Self {
        Self { earliest: tokens_valid_from.0, latest: tokens_valid_from.0 }
    }

    /// Of a token that says nothing of marks, and was issued at this time at the earliest.
    #[must_use]
    pub fn issued_at(time: Timestamp) -> Self {
        let earliest = TokensValidFrom::default().0;
        Self { earliest, latest: time.max(earliest) }
    }

    /// Whether an account with this mark accepts the token.
    #[must_use]
    pub fn accepts(self, tokens_valid_from: TokensValidFrom) -> bool {
        (self.earliest..=self.latest).contains(&tokens_valid_from.0)
    }

    /// The earliest of the marks.
    #[must_use]
    pub fn earliest(self) -> Timestamp {
        self.earliest
    }

    /// The latest of the marks.
    #[must_use]
    pub fn latest(self) -> Timestamp {
        self.latest
    }
}

impl Default for ValidFromRange {
    /// Of tokens of an account that was never signed out.
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
    fn a_token_of_ours_goes_with_its_own_mark_alone() {
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
    fn another_token_goes_with_marks_up_to_its_time() {
        let valid_from_range = ValidFromRange::issued_at(at(7));
        for (tokens_valid_from, accepted) in [(0, true), (7, true), (8, false)] {
            assert_eq!(
                valid_from_range.accepts(TokensValidFrom(at(tokens_valid_from))),
                accepted,
                "{tokens_valid_from}"
            );
        }
        // Of whatever time: nobody was ever signed out here.
        assert!(ValidFromRange::issued_at(at(-7)).accepts(TokensValidFrom::default()));
    }
}
