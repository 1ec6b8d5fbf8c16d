//! Stored password hashes: Argon2 as PHC strings, bcrypt in its own format.
//! Not here: the parameters of new hashes, see `password.rs`.
//!
//! A stored hash states how much memory and time it needs. Bounds on both keep a forged or damaged
//! hash from using too much of them at a login.

use argon2::{Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;

/// The Argon2 parameters of a hash (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory in KiB, from 8 per lane to [`Argon2Params::MAXIMUM_MEMORY_KIB`].
    pub memory_kib: u32,
    /// Passes over the memory, 1 to [`Argon2Params::MAXIMUM_ITERATIONS`].
    pub iterations: u32,
    /// Lanes, 1 to [`Argon2Params::MAXIMUM_PARALLELISM`].
    pub parallelism: u32,
}

impl Argon2Params {
    /// 1 GiB.
    pub const MAXIMUM_MEMORY_KIB: u32 = 1024 * 1024;
    pub const MAXIMUM_ITERATIONS: u32 = 32;
    pub const MAXIMUM_PARALLELISM: u32 = 64;

    /// Whether these parameters are within the bounds.
    #[must_use]
    pub fn is_bounded(self) -> bool {
        self.memory_kib <= Self::MAXIMUM_MEMORY_KIB
            && (1..=Self::MAXIMUM_ITERATIONS).contains(&self.iterations)
            && (1..=Self::MAXIMUM_PARALLELISM).contains(&self.parallelism)
            && self.memory_kib >= 8 * self.parallelism
    }

    /// Whether a hash with these parameters is cheaper to guess than one with the others: it takes
    /// less memory, or fewer passes.
    #[must_use]
    pub fn is_weaker_than(self, other: Self) -> bool {
        self.memory_kib < other.memory_kib || self.iterations < other.iterations
    }
}

/// The defaults of `argon2-cffi`, which the reference service uses (RFC 9106, second recommended
/// option).
impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory_kib: 65_536, iterations: 3, parallelism: 4 }
    }
}

/// The most bytes of a password that bcrypt reads.
const BCRYPT_MAX_BYTES: usize = 72;

/// Accepted costs of bcrypt: 2^4 to 2^16 rounds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// The stored hash cannot be verified. The error text does not contain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored password hash is unusable: {0}")]
pub(super) struct UnusableHash(&'static str);

/// A parsed hash.
pub(super) enum StoredHash {
    Argon2(Argon2Hash),
    Bcrypt(String),
}

pub(super) struct Argon2Hash {
    pub algorithm: argon2::Algorithm,
    pub version: Version,
    pub params: Argon2Params,
    pub salt: Vec<u8>,
    pub output: Vec<u8>,
}

impl StoredHash {
    pub(super) fn parse(text: &str) -> Result<Self, UnusableHash> {
        if text.starts_with("$argon2") {
            return Argon2Hash::parse(text).map(Self::Argon2);
        }
        check_bcrypt(text)?;
        Ok(Self::Bcrypt(text.to_owned()))
    }

    /// Whether the password has this hash. Takes the memory and time that the parameters state.
    pub(super) fn verify(
        &self,
        password: &[u8],
        memory: &mut Vec<Block>,
    ) -> Result<bool, UnusableHash> {
        match self {
            Self::Argon2(hash) => hash.verify(password, memory),
            Self::Bcrypt(hash) => {
                bcrypt::verify(password, hash).map_err(|_| UnusableHash("not bcrypt"))
            }
        }
    }

    /// Whether this is an Argon2 hash with these parameters.
    pub(super) fn has_params(&self, params: Argon2Params) -> bool {
        matches!(self, Self::Argon2(hash) if hash.params == params)
    }

    /// Whether the hash belongs to exactly this password. bcrypt reads at most 72 bytes, and stops
    /// at a NUL. Two passwords that differ only after that have the same hash, so a password of 72
    /// bytes also matches the hash of a longer one.
    pub(super) fn covers_password(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(_) => true,
            Self::Bcrypt(_) => password.len() < BCRYPT_MAX_BYTES && !password.contains(&0),
        }
    }

    /// Whether a new hash with the given parameters would be harder to guess.
    pub(super) fn is_weaker_than(&self, params: Argon2Params) -> bool {
        match self {
            Self::Argon2(hash) => {
                hash.algorithm != argon2::Algorithm::Argon2id
                    || hash.version != Version::V0x13
                    || hash.params.is_weaker_than(params)
            }
            Self::Bcrypt(_) => true,
        }
    }
}

impl Argon2Hash {
    /// Parses `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`. Without `v` the version is 16.
    fn parse(text: &str) -> Result<Self, UnusableHash> {
        let mut fields = text.strip_prefix('$').ok_or(UnusableHash("not a PHC string"))?.split('$');
        let mut next = || fields.next().ok_or(UnusableHash("truncated"));
        let algorithm = match next()? {
            "argon2id" => argon2::Algorithm::Argon2id,
            "argon2i" => argon2::Algorithm::Argon2i,
            _ => return Err(UnusableHash("unknown algorithm")),
        };
        let mut parameters = next()?;
        let mut version = Version::V0x10;
        if let Some(number) = parameters.strip_prefix("v=") {
            version = match number {
                "19" => Version::V0x13,
                "16" => Version::V0x10,
                _ => return Err(UnusableHash("unknown version")),
            };
            parameters = next()?;
        }
        let params = parse_parameters(parameters)?;
        let salt = decode(next()?, 8..=64)?;
        let output = decode(next()?, 16..=64)?;
        if fields.next().is_some() {
            return Err(UnusableHash("too many fields"));
        }
        Ok(Self { algorithm, version, params, salt, output })
    }

    fn verify(&self, password: &[u8], memory: &mut Vec<Block>) -> Result<bool, UnusableHash> {
        let mut computed = vec![0; self.output.len()];
        self.compute(password, &mut computed, memory)?;
        Ok(computed.ct_eq(&self.output).into())
    }

    /// Fills `output` with the hash of the password. `memory` grows as needed and can be reused.
    pub(super) fn compute(
        &self,
        password: &[u8],
        output: &mut [u8],
        memory: &mut Vec<Block>,
    ) -> Result<(), UnusableHash> {
        let Argon2Params { memory_kib, iterations, parallelism } = self.params;
        let parameters = Params::new(memory_kib, iterations, parallelism, Some(output.len()))
            .map_err(|_| UnusableHash("bad parameters"))?;
        let blocks = parameters.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        let memory = memory.get_mut(..blocks).ok_or(UnusableHash("no memory"))?;
        Argon2::new(self.algorithm, self.version, parameters)
            .hash_password_into_with_memory(password, &self.salt, output, memory)
            .map_err(|_| UnusableHash("not hashable"))
    }

    pub(super) fn to_phc(&self) -> String {
        let Argon2Params { memory_kib, iterations, parallelism } = self.params;
        format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${}${}",
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.output),
        )
    }
}

fn parse_parameters(text: &str) -> Result<Argon2Params, UnusableHash> {
    let mut parts = text.split(',');
    let mut number = |name: &str| {
        parts
            .next()
            .and_then(|part| part.strip_prefix(name))
            // Password hashers write only plain decimals, so any other spelling is forged.
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|digits| !digits.starts_with('0'))
            .and_then(|digits| digits.parse::<u32>().ok())
            .ok_or(UnusableHash("bad parameters"))
    };
    let params = Argon2Params {
        memory_kib: number("m=")?,
        iterations: number("t=")?,
        parallelism: number("p=")?,
    };
    if parts.next().is_some() || !params.is_bounded() {
        return Err(UnusableHash("parameters out of bounds"));
    }
    Ok(params)
}

fn decode(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, UnusableHash> {
    // The maximum of 64 bytes takes 86 characters.
    let bytes = if text.len() <= 86 { STANDARD_NO_PAD.decode(text).ok() } else { None };
    bytes.filter(|bytes| lengths.contains(&bytes.len())).ok_or(UnusableHash("bad salt or hash"))
}

/// Accepts `$2b$12$` and 53 characters. The cost is checked first, because the library would take
/// as long as the text demands.
fn check_bcrypt(text: &str) -> Result<(), UnusableHash> {
    if text.len() != 60 || !text.is_ascii() {
        return Err(UnusableHash("neither Argon2 nor bcrypt"));
    }
    let known = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix));
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    if !known || !cost.is_some_and(|cost| BCRYPT_COSTS.contains(&cost)) {
        return Err(UnusableHash("bcrypt out of bounds"));
    }
    Ok(())
}
