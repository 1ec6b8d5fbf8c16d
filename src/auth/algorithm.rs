//! How tokens are signed.

/// What may sign tokens: the HMACs (RFC 7518, 3.2), or one of the pairs of a private and a public key
/// (RFC 7518, 3.3 and 3.4, RFC 8037). A service works with one of them and refuses the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    ES256,
    EdDSA,
}

impl Algorithm {
    /// Bytes of the shortest secret: those of the hash's output (RFC 7518, 3.2). `None` if it signs
    /// with a pair of keys.
    #[must_use]
    pub fn min_secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            Self::RS256 | Self::ES256 | Self::EdDSA => None,
        }
    }

    /// As a token's header has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether whoever verifies could also sign.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self.min_secret_bytes().is_some()
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HS256 => Self::HS256,
            Algorithm::HS384 => Self::HS384,
            Algorithm::HS512 => Self::HS512,
            Algorithm::RS256 => Self::RS256,
            Algorithm::ES256 => Self::ES256,
            Algorithm::EdDSA => Self::EdDSA,
        }
    }
}
