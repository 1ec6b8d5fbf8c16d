//! Decides which secret signs and which old secrets stay. The functions depend only on lists and
//! times.
//!
//! The list has the newest secret first. A service signs with the secret that is first at its
//! start, so the secret that signs now is the one with the latest `signs_from`. Secrets before it
//! will sign after the next start. Secrets after it only verify.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::KeyStoreError;
use super::stored_secret::{MAX_SECRETS, StoredSecret};
use crate::auth::Algorithm;

/// Records that a service signs with the first secret from now on. Returns whether the list has
/// changed: a restart with the same secret changes nothing.
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

/// Moves the secret that signs, according to the record, to the front.
pub(super) fn put_signing_first(secrets: &mut [StoredSecret]) {
    if let Some(moved) = signing_index(secrets).and_then(|index| secrets.get_mut(..=index)) {
        moved.rotate_right(1);
    }
}

/// Drops the secrets on which no token depends, so that one more secret fits.
///
/// Tokens that were signed before `tokens_from` have expired. The secret that signs stays. Secrets
/// before it stay too, because a service that is starting may read them now; they are dropped only
/// for space.
pub(super) fn drop_unneeded(secrets: &mut Vec<StoredSecret>, tokens_from: Timestamp) {
    let space = MAX_SECRETS - 1;
    let Some(signing) = signing_index(secrets) else {
        // Without a record any secret may be the one that signs.
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

/// Returns the index of the secret that signs: the one that started to sign last. `None` without a
/// record.
fn signing_index(secrets: &[StoredSecret]) -> Option<usize> {
    let started = secrets
        .iter()
        .enumerate()
        .filter_map(|(index, stored)| stored.signs_from.map(|from| (from, Reverse(index))));
    started.max().map(|(_, Reverse(index))| index)
}
