//! Edge cases of passwords, hashes, keys and tokens: bounds, and hashes and tokens of other services.
//! Not here: the responses, see `tests/it/api/`.

/// New passwords: their length, and the length of the hashing queue.
mod passwords;

/// Stored hashes: which are verified, and which are replaced.
mod stored_hashes;

/// Key pairs: which are accepted, and that a public key never works as an HMAC secret.
mod pairs;

/// Several keys at once, and key rotation.
mod keys;
mod mail_links;

/// Tokens of every algorithm, and every checked claim.
mod tokens;

use super::Argon2Params;

const PASSWORD: &str = "plum lantern 83 quay";

/// The cheapest parameters that Argon2 accepts.
const CHEAP: Argon2Params = Argon2Params { memory_kib: 8, iterations: 1, parallelism: 1 };
