//! Decides which secret signs and which old ones stay. Pure functions of lists and times.
//!
//! The list has the newest secret first. A start signs with the first one, so the secret that signs now is
//! the one with the latest `signs_from`. Secrets before it wait for the next start; secrets after it signed
//! before, and only verify.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::KeyStoreError;
use super::stored_secret::{MAX_SECRETS, StoredSecret};
use crate::auth::Algorithm;

/// Records that a service signs with the first secret from now on, and returns whether the list changed.
/// Another start of the same secret changes nothing.
pub(super) fn record_start(
    secrets: &mut [StoredSecret],
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<bool, KeyStoreError> {
    let mut has_changed = false;
    for stored in &mut *secrets {
        has_changed |= stored.update_kid(algorithm)?;
    }
    let is_recorded = signing_index(secrets) == Some(0);
    if let Some(first) = secrets.first_mut().filter(|_| !is_recorded) {
        first.signs_from = Some(now);
        has_changed = true;
    }
    Ok(has_changed)
}

/// Moves the secret that is recorded as signing to the front.
pub(super) fn put_signing_first(secrets: &mut [StoredSecret]) {
    if let Some(moved) = signing_index(secrets).and_then(|index| secrets.get_mut(..=index)) {
        moved.rotate_right(1);
    }
}

/// Drops the secrets that no token depends on, and makes space for one more.
///
/// Tokens that were signed before `tokens_from` have expired. The secret that signs stays, and so do those
/// before it: the next start may be about to read them.
pub(super) fn drop_unneeded(secrets: &mut Vec<StoredSecret>, tokens_from: Timestamp) {
    let space = MAX_SECRETS - 1;
    let Some(signing) = signing_index(secrets) else {
        // Without a record each of them may sign.
        secrets.truncate(space);
        return;
    };
    let mut stopped = secrets.get(signing).and_then(|stored| stored.signs_from);
    for stored in secrets.split_off(signing + 1) {
        // A secret stopped signing when the next newer one started.
        let is_needed = stopped >= Some(tokens_from);
        stopped = stored.signs_from.or(stopped);
        if is_needed {
            secrets.push(stored);
        }
    }
    let mut unsigned = signing;
    while secrets.len() > space && unsigned > 0 {
        unsigned -= 1;
        secrets.remove(unsigned);
    }
    secrets.truncate(space);
}

/// Returns the index of the secret that signs: the one that started last. `None` without a record.
fn signing_index(secrets: &[StoredSecret]) -> Option<usize> {
    let started = secrets
        .iter()
        .enumerate()
        .filter_map(|(index, stored)| stored.signs_from.map(|from| (from, Reverse(index))));
    started.max().map(|(_, Reverse(index))| index)
}
