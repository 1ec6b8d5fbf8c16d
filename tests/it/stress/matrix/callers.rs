//! Who asks.

/// A kind of caller. Those whose token is not good carry one that would make them the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Nobody,
    Malformed,
    Expired,
    NotYetValid,
    /// Well made, by somebody who does not know the key.
    WrongKey,
    /// `"alg": "none"`, and no signature.
    NoAlgorithm,
    /// Signed with the right key and an algorithm that was not agreed on.
    OtherAlgorithm,
    /// The number of the account as a text.
    WrongClaims,
    /// A good token whose account is deleted.
    Deleted,
    /// A token from before its account was signed out everywhere.
    SignedOut,
    /// The same, as the reference makes them: it does not say when it was issued.
    SignedOutOfReference,
    /// Somebody with an account of their own.
    Other,
    /// Whose posts they are.
    Owner,
}

/// What kinds of callers have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Anonymous,
    Invalid,
    Other,
    Owner,
}

impl Caller {
    pub(super) const ALL: [Self; 13] = [
        Self::Nobody,
        Self::Malformed,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongKey,
        Self::NoAlgorithm,
        Self::OtherAlgorithm,
        Self::WrongClaims,
        Self::Deleted,
        Self::SignedOut,
        Self::SignedOutOfReference,
        Self::Other,
        Self::Owner,
    ];

    pub(super) fn standing(self) -> Standing {
        match self {
            Self::Nobody => Standing::Anonymous,
            Self::Other => Standing::Other,
            Self::Owner => Standing::Owner,
            _ => Standing::Invalid,
        }
    }
}
