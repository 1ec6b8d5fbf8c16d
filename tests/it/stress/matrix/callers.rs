//! Who asks.

/// A kind of caller. Those whose token is not good carry one that would make them the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Anonymous,
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
    SignedOutReferenceToken,
    /// Somebody with an account of their own.
    Other,
    /// Whose posts they are.
    Owner,
}

/// What kinds of callers have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessClass {
    Anonymous,
    Invalid,
    Other,
    Owner,
}

impl Caller {
    pub(super) const ALL: [Self; 13] = [
        Self::Anonymous,
        Self::Malformed,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongKey,
        Self::NoAlgorithm,
        Self::OtherAlgorithm,
        Self::WrongClaims,
        Self::Deleted,
        Self::SignedOut,
        Self::SignedOutReferenceToken,
        Self::Other,
        Self::Owner,
    ];

    pub(super) fn access_class(self) -> AccessClass {
        match self {
            Self::Anonymous => AccessClass::Anonymous,
            Self::Other => AccessClass::Other,
            Self::Owner => AccessClass::Owner,
            _ => AccessClass::Invalid,
        }
    }
}
