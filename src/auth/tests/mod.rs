//! Who is asking, at the edges: bounds that one more steps over, and hashes and tokens that others
//! made. What a client sees of them is told by the tests of the routes.

/// New passwords: how long they may be, and how many may wait to be hashed.
mod passwords;

/// Hashes that are stored: which can be verified, and which are replaced.
mod stored_hashes;

/// Pairs of keys: which can be used, and that none passes for a secret.
mod pairs;

/// Several keys at once, and how one takes over from another.
mod keys;

/// Tokens of every algorithm, and every claim that counts.
mod tokens;

use super::Argon2Params;

const PASSWORD: &str = "plum lantern 83 quay";

/// The cheapest hash there is.
const CHEAP: Argon2Params = Argon2Params { memory_kib: 8, iterations: 1, parallelism: 1 };
