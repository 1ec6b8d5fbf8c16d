//! The secrets that a rotation keeps and drops.

use std::time::Duration;

use super::{Folder, LIFETIME};
use crate::key_store::OldSecrets;

/// The time for which tokens of a retired secret may be valid: their lifetime, and a minute of
/// handover.
const RETIRED: Duration = Duration::from_mins(31);

#[test]
fn rotated_secret_signs_after_the_next_start_and_the_old_one_verifies() {
    let mut folder = Folder::new();
    let first = folder.start();
    folder.wait(RETIRED);
    assert_eq!(folder.rotate(), 1);
    let [new, old] = &folder.stored()[..] else { panic!("two secrets") };
    assert_eq!((new.created_at, new.signs_from), (folder.now, None));
    assert!(old.signs_from.is_some());
    folder.wait(RETIRED);
    let second = folder.start();
    assert_eq!(second, folder.secrets());
    assert_eq!(second[1..], first);
    assert_eq!(folder.stored()[0].signs_from, Some(folder.now));
}

#[test]
fn restart_with_the_same_secret_keeps_its_start_time() {
    let mut folder = Folder::new();
    folder.start();
    folder.rotate();
    folder.start();
    let before = std::fs::read(folder.file()).unwrap();
    folder.wait(RETIRED);
    folder.start();
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
}

#[test]
fn secret_is_dropped_once_its_last_token_has_expired() {
    let mut folder = Folder::new();
    folder.start();
    folder.rotate();
    folder.start();
    folder.wait(RETIRED);
    assert_eq!(folder.rotate(), 2, "a token may still be valid");
    folder.wait(Duration::from_micros(1));
    assert_eq!(folder.rotate(), 2, "the secret that signs, and the one for the next start");
}

#[test]
fn secrets_expire_one_by_one() {
    let mut folder = Folder::new();
    folder.start();
    for _ in 0..2 {
        folder.rotate();
        folder.wait(Duration::from_mins(20));
        folder.start();
    }
    let before = folder.secrets();
    folder.wait(Duration::from_mins(20));
    // The oldest secret stopped signing 40 minutes ago, the next one 20 minutes ago.
    assert_eq!(folder.rotate(), 2);
    assert_eq!(folder.secrets()[1..], before[..2]);
}

#[test]
fn secret_that_signs_survives_every_rotation_before_the_next_start() {
    let mut folder = Folder::new();
    folder.start();
    folder.rotate();
    folder.start();
    let before = folder.secrets();
    let mut newest = Vec::new();
    for _ in 0..10 {
        folder.rotate();
        newest.insert(0, folder.secrets()[0].clone());
        newest.truncate(6);
        assert_eq!(folder.secrets(), [&*newest, &*before].concat());
    }
    folder.wait(Duration::from_hours(1));
    folder.rotate();
    let now = folder.secrets();
    assert_eq!((now.len(), &now[7]), (8, &before[0]));
    assert!(!now.contains(&before[1]));
}

#[test]
fn more_than_eight_secrets_drop_the_oldest() {
    let folder = Folder::new();
    folder.start();
    for number in 2..=10 {
        folder.rotate();
        assert_eq!(folder.start().len(), number.min(8));
    }
}

/// For example, an operator may have written the file by hand.
#[test]
fn secrets_without_a_signing_record_are_kept() {
    let mut folder = Folder::new();
    folder.start();
    folder.rotate();
    let mut stored = folder.stored();
    stored[1].signs_from = None;
    std::fs::write(folder.file(), serde_json::to_string(&stored).unwrap()).unwrap();
    folder.wait(Duration::from_hours(1));
    for kept in 2..=7 {
        assert_eq!(folder.rotate(), kept);
    }
    assert_eq!(folder.rotate(), 7);
}

#[test]
fn secret_that_was_moved_to_the_front_by_hand_retires_the_others() {
    let mut folder = Folder::new();
    folder.start();
    folder.wait(LIFETIME);
    folder.rotate();
    folder.start();
    let mut stored = folder.stored();
    stored.swap(0, 1);
    std::fs::write(folder.file(), serde_json::to_string(&stored).unwrap()).unwrap();
    folder.wait(RETIRED);
    // Until the next start the second secret signs.
    assert_eq!(folder.rotate(), 2);
    stored = folder.stored();
    stored.remove(0);
    std::fs::write(folder.file(), serde_json::to_string(&stored).unwrap()).unwrap();
    folder.start();
    assert_eq!(folder.stored()[0].signs_from, Some(folder.now));
    assert_eq!(folder.rotate(), 2, "tokens of the second secret may still be valid");
}

#[test]
fn rotation_drops_all_old_secrets_on_request() {
    let folder = Folder::new();
    let first = folder.start();
    folder.rotate();
    assert_eq!(folder.store().rotate(folder.now, OldSecrets::Drop).unwrap(), 0);
    assert!(folder.secrets().len() == 1 && folder.secrets() != first);
}
