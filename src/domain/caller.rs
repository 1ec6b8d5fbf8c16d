//! Who is asking.

use jiff::Timestamp;

use super::policy::Drafts;
use super::user::{TokensValidFrom, UserId};

/// The user that a valid token names, what they may see, and how far that token reaches.
///
/// A value of this type proves the token's signature and dates, not that the account still exists or
/// still accepts the token: that is for the store to say, in the same step that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub drafts: Drafts,
    pub era: TokenEra,
}

/// The marks ([`TokensValidFrom`]) of its account that a token goes with: the account accepts the token
/// while its mark is one of these. A mark only ever grows, so that a token that is refused once is
/// refused for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenEra {
    least: Timestamp,
    most: Timestamp,
}

impl TokenEra {
    /// Of a token that was issued under this very mark. Compared by equality: no clock has a say.
    #[must_use]
    pub fn of(mark: TokensValidFrom) -> Self {
        Self { least: mark.0, most: mark.0 }
    }

    /// Of a token that says nothing of marks, and was issued at this time at the earliest.
    #[must_use]
    pub fn issued_at(time: Timestamp) -> Self {
        let least = TokensValidFrom::default().0;
        Self { least, most: time.max(least) }
    }

    /// Whether an account with this mark accepts the token.
    #[must_use]
    pub fn accepts(self, mark: TokensValidFrom) -> bool {
        (self.least..=self.most).contains(&mark.0)
    }

    /// The earliest of the marks.
    #[must_use]
    pub fn least(self) -> Timestamp {
        self.least
    }

    /// The latest of the marks.
    #[must_use]
    pub fn most(self) -> Timestamp {
        self.most
    }
}

impl Default for TokenEra {
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
        let era = TokenEra::of(TokensValidFrom(at(7)));
        for (mark, accepted) in [(0, false), (6, false), (7, true), (8, false)] {
            assert_eq!(era.accepts(TokensValidFrom(at(mark))), accepted, "{mark}");
        }
        assert!(TokenEra::default().accepts(TokensValidFrom::default()));
    }

    #[test]
    fn another_token_goes_with_marks_up_to_its_time() {
        let era = TokenEra::issued_at(at(7));
        for (mark, accepted) in [(0, true), (7, true), (8, false)] {
            assert_eq!(era.accepts(TokensValidFrom(at(mark))), accepted, "{mark}");
        }
        // Of whatever time: nobody was ever signed out here.
        assert!(TokenEra::issued_at(at(-7)).accepts(TokensValidFrom::default()));
    }
}
