//! The files of earlier builds: `secret_key` and `secret_key.signing`.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use secrecy::SecretString;

use super::Folder;
use crate::auth::{Algorithm, Keys};
use crate::key_store::{KEYS_FILE, OldSecrets};

const NEWEST: &str = "e42d9c70a8f6b1357d0e2c4b6a8f9135";
const SIGNING: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";
const OLDEST: &str = "0f9d4b7a61c83e52d7b4a0c6913fe825";

/// Writes the old files. `signing` is the secret that signs, and since how long.
fn write(folder: &Folder, secrets: &[&str], signing: Option<(&str, Duration)>) {
    std::fs::write(folder.path().join("secret_key"), secrets.join("\n") + "\n").unwrap();
    if let Some((secret, age)) = signing {
        let name = Keys::kid_of(&SecretString::from(secret), Algorithm::HS256).unwrap();
        let path = folder.path().join("secret_key.signing");
        std::fs::write(&path, name + "\n").unwrap();
        let since = SystemTime::from(folder.now) - age;
        File::options().write(true).open(path).unwrap().set_modified(since).unwrap();
    }
}

fn signs_from(folder: &Folder) -> Vec<Option<Timestamp>> {
    folder.stored().iter().map(|stored| stored.signs_from).collect()
}

#[test]
fn start_takes_over_the_secrets_and_removes_the_old_files() {
    let folder = Folder::new();
    write(&folder, &[SIGNING, OLDEST], Some((SIGNING, Duration::from_hours(2))));
    assert_eq!(folder.start(), [SIGNING, OLDEST]);
    let since = folder.now.checked_sub(Duration::from_hours(2)).unwrap();
    assert_eq!(signs_from(&folder), [Some(since), None]);
    assert_eq!(folder.names(), [KEYS_FILE]);
    // The oldest secret stopped signing two hours ago.
    assert_eq!(folder.rotate(), 1);
    assert_eq!(folder.secrets()[1..], [SIGNING]);
}

#[test]
fn start_signs_with_a_secret_that_was_rotated_before_the_takeover() {
    let folder = Folder::new();
    write(&folder, &[NEWEST, SIGNING, OLDEST], Some((SIGNING, Duration::from_mins(10))));
    assert_eq!(folder.start(), [NEWEST, SIGNING, OLDEST]);
    let since = folder.now.checked_sub(Duration::from_mins(10)).unwrap();
    assert_eq!(signs_from(&folder), [Some(folder.now), Some(since), None]);
    assert_eq!(folder.rotate(), 3);
}

#[test]
fn rotation_takes_over_the_secrets_too() {
    let folder = Folder::new();
    write(&folder, &[SIGNING, OLDEST], Some((SIGNING, Duration::from_mins(10))));
    assert_eq!(folder.rotate(), 2);
    assert_eq!(folder.secrets()[1..], [SIGNING, OLDEST]);
    assert_eq!(folder.names(), [KEYS_FILE]);
}

#[test]
fn secrets_without_a_usable_record_are_all_kept() {
    for signing in [None, Some("another".as_bytes()), Some(&[0xff])] {
        let folder = Folder::new();
        write(&folder, &[SIGNING, OLDEST], None);
        if let Some(name) = signing {
            std::fs::write(folder.path().join("secret_key.signing"), name).unwrap();
        }
        assert_eq!(folder.rotate(), 2);
        assert_eq!(signs_from(&folder), [None, None, None]);
        assert_eq!(folder.names(), [KEYS_FILE]);
    }
}

#[test]
fn takeover_that_was_interrupted_is_finished_by_the_next_start() {
    let old = ["secret_key", "secret_key.signing"];
    for left in [&old[..], &old[..1], &old[1..]] {
        let folder = Folder::new();
        write(&folder, &[SIGNING, OLDEST], Some((SIGNING, Duration::from_hours(2))));
        let copies: Vec<_> =
            left.iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect();
        let secrets = folder.start();
        for (name, copy) in left.iter().zip(copies) {
            std::fs::write(folder.path().join(name), copy).unwrap();
        }
        assert_eq!(folder.start(), secrets);
        assert_eq!(folder.names(), [KEYS_FILE], "{left:?}");
    }
}

#[test]
fn old_file_with_another_secret_stays_and_is_not_used() {
    let folder = Folder::new();
    let secrets = folder.start();
    write(&folder, &[SIGNING], None);
    assert_eq!(folder.start(), secrets);
    assert!(folder.path().join("secret_key").exists());
}

#[test]
fn concurrent_starts_take_over_the_same_secrets() {
    for _ in 0..50 {
        let folder = Folder::new();
        write(&folder, &[SIGNING, OLDEST], Some((SIGNING, Duration::from_mins(10))));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(folder.start(), [SIGNING, OLDEST]));
            }
        });
        assert_eq!(folder.names(), [KEYS_FILE]);
        assert_ne!(signs_from(&folder)[0], Some(folder.now));
    }
}

#[test]
fn unusable_old_file_is_an_error_and_stays_unchanged() {
    for (content, cause) in [
        (b"\n\n".as_slice(), "holds no key"),
        (b"7c1f0a94e2b8", "key 1 has 12 bytes"),
        (format!("{SIGNING}\n{SIGNING}").as_bytes(), "key 2 repeats an earlier key"),
        (&[0xff; 40], "could not be read"),
    ] {
        let folder = Folder::new();
        std::fs::write(folder.path().join("secret_key"), content).unwrap();
        for outcome in [
            folder.store().start_signing(folder.now).map(|_| ()),
            folder.store().rotate(folder.now, OldSecrets::Drop).map(|_| ()),
        ] {
            let problem = outcome.unwrap_err().to_string();
            assert!(problem.contains("secret_key ") && problem.contains(cause), "{problem}");
            assert!(!problem.contains("7c1f"), "{problem}");
        }
        assert_eq!(std::fs::read(folder.path().join("secret_key")).unwrap(), content);
        assert_eq!(folder.names(), ["secret_key"]);
    }
}

/// The conversion must not revoke tokens, so it accepts a mode that is rejected for the new file.
#[test]
fn old_file_that_everyone_can_access_is_taken_over_with_mode_0600() {
    let folder = Folder::new();
    write(&folder, &[SIGNING], None);
    let mode = PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("secret_key"), mode).unwrap();
    assert_eq!(folder.start(), [SIGNING]);
    let mode = std::fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
