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

/// A client that reads posts: a caller, or one without a token, which sees what every user can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Anonymous,
    Caller(Caller),
}

impl Reader {
    #[must_use]
    pub fn caller(self) -> Option<Caller> {
        match self {
            Self::Anonymous => None,
            Self::Caller(caller) => Some(caller),
        }
    }

    #[must_use]
    pub fn user_id(self) -> Option<UserId> {
        self.caller().map(|caller| caller.user_id)
    }

    /// Drafts are visible only to accounts, also if they are visible to every account.
    #[must_use]
    pub fn draft_visibility(self) -> DraftVisibility {
        self.caller().map_or(DraftVisibility::Private, |caller| caller.draft_visibility)
    }
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

    /// Returns the range with these bounds.
    #[must_use]
    pub fn between(earliest: Timestamp, latest: Timestamp) -> Self {
        Self { earliest, latest }
    }

    /// Returns the range of a token that contains no such value: the accounts that were created by
    /// the second of its issue, and whose tokens were never revoked. The revocation needs no clock.
    #[must_use]
    pub fn never_revoked(issued_at: Timestamp) -> Self {
        Self {
            earliest: TokensValidFrom::of_new_account(issued_at).0,
            latest: TokensValidFrom::default().0,
        }
    }

    /// Returns the range of a token of the reference service, which knows no such value and no issue
    /// time: `time` is an estimate, the expiry minus the lifetime. The recorded contract accepts
    /// tokens with any expiry for an account that never revoked its tokens, so `time` is compared
    /// only with a revocation.
    #[must_use]
    pub fn estimated(time: Timestamp) -> Self {
        let never_revoked = Self::default();
        Self { latest: time.max(never_revoked.latest), ..never_revoked }
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
    /// Returns the range of a token whose account has never revoked its tokens, whenever it was
    /// created.
    fn default() -> Self {
        Self::never_revoked(Timestamp::MAX)
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
    }

    #[test]
    fn token_without_tokens_valid_from_is_valid_for_older_accounts_that_never_revoked() {
        let range = ValidFromRange::never_revoked(at(7_900_000));
        let created = |second: i64| TokensValidFrom::of_new_account(at(second * 1_000_000 + 1));
        for (tokens_valid_from, accepted) in [
            (TokensValidFrom::default(), true),
            (created(6), true),
            (created(7), true),
            (created(8), false),
            (TokensValidFrom::revoked_at(at(1)), false),
            (TokensValidFrom::revoked_at(at(-7)), false),
        ] {
            assert_eq!(range.accepts(tokens_valid_from), accepted, "{tokens_valid_from:?}");
        }
    }

    #[test]
    fn token_of_reference_service_is_valid_also_after_a_revocation() {
        let range = ValidFromRange::estimated(at(7_000_000));
        let created = |second: i64| TokensValidFrom::of_new_account(at(second * 1_000_000));
        for (tokens_valid_from, accepted) in [
            (created(7), true),
            (created(8), true),
            (TokensValidFrom::default(), true),
            (TokensValidFrom::revoked_at(at(7_000_000)), true),
            (TokensValidFrom::revoked_at(at(7_000_001)), false),
        ] {
            assert_eq!(range.accepts(tokens_valid_from), accepted, "{tokens_valid_from:?}");
        }
        // The tokens of this account were never revoked, so the token's time does not matter.
        assert!(ValidFromRange::estimated(at(-7)).accepts(TokensValidFrom::default()));
    }

    #[test]
    fn every_revocation_exceeds_the_value_of_every_new_account() {
        let times =
            [Timestamp::MIN, at(-7), at(0), at(7), at(1_738_324_800_123_456), Timestamp::MAX];
        for created_at in times {
            let new = TokensValidFrom::of_new_account(created_at);
            for now in times {
                assert!(TokensValidFrom::revoked_at(now) > new, "{created_at} {now}");
            }
            assert!(ValidFromRange::default().accepts(new), "{created_at}");
        }
    }
}
