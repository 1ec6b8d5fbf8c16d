//! The callers of the matrix.

/// A kind of caller. An invalid token would identify the owner if it were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Anonymous,
    Malformed,
    Expired,
    NotYetValid,
    /// Well formed, but signed with another key.
    WrongKey,
    /// `"alg": "none"`, and no signature.
    NoAlgorithm,
    /// Signed with the right key and an algorithm that the service does not accept.
    OtherAlgorithm,
    /// The user ID is a text.
    WrongClaims,
    /// A valid token of a deleted account.
    Deleted,
    /// A valid token of an account that an operator has disabled.
    Disabled,
    /// A token from before a sign-out.
    SignedOut,
    /// A token from before a sign-out, in the format of the reference service: without issue time.
    SignedOutReferenceToken,
    /// Another user.
    Other,
    /// The owner of the posts.
    Owner,
}

/// The rights that several kinds of callers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessClass {
    Anonymous,
    Invalid,
    Other,
    Owner,
}

impl Caller {
    pub(super) const ALL: [Self; 14] = [
        Self::Anonymous,
        Self::Malformed,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongKey,
        Self::NoAlgorithm,
        Self::OtherAlgorithm,
        Self::WrongClaims,
        Self::Deleted,
        Self::Disabled,
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
