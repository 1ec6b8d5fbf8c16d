//! `post-api secret rotate`: the new secret, and which old ones are kept.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{folder, run, run_with};
use crate::support::Service;
use crate::support::key_files::ED25519;

const GOOD_SECRET: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";

fn file(folder: &Path) -> PathBuf {
    folder.join("data/keys.json")
}

fn entries(folder: &Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(file(folder)).unwrap()).unwrap()
}

fn secrets(folder: &Path) -> Vec<String> {
    let entries = entries(folder).into_iter();
    entries.map(|entry| entry["secret"].as_str().unwrap().to_owned()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("data")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn assert_no_temporary_file(folder: &Path) {
    let names = files(folder);
    assert!(
        !names.iter().any(|name| name.extension().is_some_and(|end| end == "new")),
        "{names:?}"
    );
}

/// Returns a folder with the secret that a service has generated.
fn folder_with_secret() -> TempDir {
    let folder = TempDir::new().unwrap();
    drop(Service::start_in(folder.path(), &[]));
    folder
}

/// Starts and stops the service.
fn restart(folder: &Path) {
    drop(Service::start_in(folder, &[]));
}

/// Makes all secrets look as if they had started to sign this much earlier.
fn age(folder: &Path, age: Duration) {
    let mut entries = entries(folder);
    for entry in entries.iter_mut().filter(|entry| entry["signs_from"].is_string()) {
        let since: Timestamp = entry["signs_from"].as_str().unwrap().parse().unwrap();
        entry["signs_from"] = json!(since.checked_sub(age).unwrap());
    }
    std::fs::write(file(folder), json!(entries).to_string()).unwrap();
}

#[test]
fn rotation_puts_the_new_secret_first_and_keeps_the_old_ones() {
    let folder = folder_with_secret();
    let first = secrets(folder.path());
    let output = run(folder.path(), "secret rotate").expect(0).output;
    assert_eq!(
        output,
        "restart the service to sign with the new secret; 1 old secret still verifies\n"
    );
    let second = secrets(folder.path());
    assert_eq!(second[1..], first);
    restart(folder.path());
    run(folder.path(), "secret rotate").expect(0);
    let third = secrets(folder.path());
    assert_eq!(third[1..], second);
    assert!(third.iter().all(|secret| secret.len() == 86), "{third:?}");
    let mode = std::fs::metadata(file(folder.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_no_temporary_file(folder.path());
}

#[test]
fn rotation_with_drop_old_removes_old_secrets() {
    let folder = folder_with_secret();
    let first = secrets(folder.path());
    run(folder.path(), "secret rotate").expect(0);
    let output = run(folder.path(), "secret rotate --drop-old").expect(0).output;
    assert_eq!(
        output,
        "restart the service to sign with the new secret and to revoke every access token\n"
    );
    let last = secrets(folder.path());
    assert_eq!(last.len(), 1);
    assert!(!first.contains(&last[0]));
}

/// The secret that signed until now always stays. An older one stays for the lifetime of a token.
#[test]
fn rotation_removes_secrets_that_no_valid_token_needs() {
    let folder = folder_with_secret();
    run(folder.path(), "secret rotate").expect(0);
    restart(folder.path());
    let before = secrets(folder.path());
    age(folder.path(), Duration::from_mins(30));
    run(folder.path(), "secret rotate").expect(0);
    assert_eq!(secrets(folder.path())[1..], before);

    restart(folder.path());
    let before = secrets(folder.path());
    age(folder.path(), Duration::from_mins(32));
    // A restart does not change these times.
    restart(folder.path());
    run(folder.path(), "secret rotate").expect(0);
    assert_eq!(secrets(folder.path())[1..], before[..1]);

    restart(folder.path());
    age(folder.path(), Duration::from_mins(32));
    let lifetime = [("ACCESS_TOKEN_EXPIRE_MINUTES", "60")];
    run_with(folder.path(), "secret rotate", &lifetime).expect(0);
    assert_eq!(secrets(folder.path()).len(), 3);
}

/// Any number of rotations before the next start keeps the signing secret, and the newest ones that
/// a start in progress may have read.
#[test]
fn signing_secret_is_kept_until_the_next_start() {
    let folder = folder_with_secret();
    run(folder.path(), "secret rotate").expect(0);
    restart(folder.path());
    let before = secrets(folder.path());
    let mut newest = Vec::new();
    for _ in 0..10 {
        run(folder.path(), "secret rotate").expect(0);
        let now = secrets(folder.path());
        newest.insert(0, now[0].clone());
        newest.truncate(6);
        assert_eq!(now, [&*newest, &*before].concat());
    }
    age(folder.path(), Duration::from_hours(1));
    run(folder.path(), "secret rotate").expect(0);
    let now = secrets(folder.path());
    assert_eq!((now.len(), &now[7]), (8, &before[0]));
    assert!(!now.contains(&before[1]));
}

/// If the port is in use, the second service fails before it signs, and the first keeps running.
#[test]
fn failed_start_does_not_change_the_signing_secret() {
    let folder = TempDir::new().unwrap();
    let service = Service::start_in(folder.path(), &[]);
    let first = secrets(folder.path());
    run(folder.path(), "secret rotate").expect(0);
    let port = service.address().rsplit(':').next().unwrap();
    let output = run(folder.path(), &format!("serve --port {port}")).expect(2).error;
    assert!(output.contains("cannot listen"), "{output}");
    age(folder.path(), Duration::from_hours(1));
    run(folder.path(), "secret rotate").expect(0);
    assert_eq!(secrets(folder.path()).last(), first.last());
}

/// After a manual change the signing secret is unknown.
#[test]
fn rotation_with_unknown_signing_secret_keeps_all() {
    let folder = folder_with_secret();
    run(folder.path(), "secret rotate").expect(0);
    let before = secrets(folder.path());
    let mut entries = entries(folder.path());
    for entry in &mut entries {
        entry["signs_from"] = Value::Null;
    }
    std::fs::write(file(folder.path()), json!(entries).to_string()).unwrap();
    run(folder.path(), "secret rotate").expect(0);
    run(folder.path(), "secret rotate").expect(0);
    assert_eq!(secrets(folder.path())[2..], before);
}

#[test]
fn rotation_keeps_at_most_eight_secrets() {
    let folder = folder_with_secret();
    for number in 2..=10 {
        restart(folder.path());
        run(folder.path(), "secret rotate").expect(0);
        assert_eq!(secrets(folder.path()).len(), number.min(8));
    }
    restart(folder.path());
}

/// Mounted secrets are often symlinks.
#[test]
fn symlinked_secret_file_stays_a_symlink() {
    let folder = folder_with_secret();
    let elsewhere = folder.path().join("kept");
    std::fs::rename(file(folder.path()), &elsewhere).unwrap();
    std::os::unix::fs::symlink("../kept", file(folder.path())).unwrap();
    run(folder.path(), "secret rotate").expect(0);
    assert!(file(folder.path()).is_symlink());
    assert_eq!(secrets(folder.path()).len(), 2);
    assert!(elsewhere.is_file() && !elsewhere.is_symlink());
}

/// Root may rotate the secret of a service that runs as another user. That user must still be able
/// to read the file.
#[test]
fn rotated_secret_file_keeps_its_owner() {
    const OTHER_USER: u32 = 4711;
    let folder = folder_with_secret();
    if chown(file(folder.path()), Some(OTHER_USER), Some(OTHER_USER)).is_err() {
        // Only root can change the owner of a file.
        return;
    }
    run(folder.path(), "secret rotate").expect(0);
    let metadata = std::fs::metadata(file(folder.path())).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (OTHER_USER, OTHER_USER));
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn unusable_secret_file_is_reported_and_left_unchanged() {
    let folder = folder();
    let output = run(folder.path(), "secret rotate").expect(1).error;
    assert!(output.contains("data/keys.json"), "{output}");
    assert!(files(folder.path()).is_empty());

    let entry =
        |secret: &str| json!({"kid": "k", "secret": secret, "created_at": "2026-05-01T12:00:00Z"});
    let long = "7c1f0a94e2b85d36f7a1c05e9d42b83a";
    let short = "7c1f0a94e2b8";
    for (damaged, cause) in [
        (b"".to_vec(), "is empty"),
        (b"\n\n".to_vec(), "is empty"),
        (b"[]".to_vec(), "holds no key"),
        (long.into(), "does not hold keys in JSON"),
        (json!([entry(short)]).to_string().into(), "key 1 has 12 bytes, HS256 needs 32 or more"),
        (json!([entry(long), entry(short)]).to_string().into(), "key 2 has 12 bytes"),
        (json!([entry(long), entry(long)]).to_string().into(), "key 2 repeats an earlier key"),
        (vec![0xff; 40], "does not hold keys in JSON"),
    ] {
        std::fs::write(file(folder.path()), &damaged).unwrap();
        std::fs::set_permissions(file(folder.path()), Permissions::from_mode(0o600)).unwrap();
        let output = run(folder.path(), "secret rotate").expect(1).error;
        assert!(
            output.starts_with("error: could not rotate the secret; the old one is unchanged: "),
            "{output}"
        );
        assert!(output.contains(cause) && !output.contains("7c1f"), "{output}");
        assert_eq!(std::fs::read(file(folder.path())).unwrap(), damaged);
        let output = run(folder.path(), "serve --port 0").expect(1).error;
        assert!(output.contains(cause) && !output.contains("7c1f"), "{output}");
    }
    assert_no_temporary_file(folder.path());
}

#[test]
fn secret_file_that_is_a_directory_is_reported() {
    let folder = folder();
    std::fs::create_dir(file(folder.path())).unwrap();
    let output = run(folder.path(), "secret rotate").expect(1).error;
    assert!(output.contains("directory"), "{output}");
}

/// If the file signs nothing, a rotation would have no effect.
#[test]
fn rotation_of_configured_secret_is_rejected() {
    let folder = folder_with_secret();
    let before = secrets(folder.path());
    for (environment, expected) in [
        (vec![("SECRET_KEY", GOOD_SECRET)], "SECRET_KEY or SECRET_KEYS is given"),
        (vec![("SECRET_KEYS", GOOD_SECRET)], "SECRET_KEY or SECRET_KEYS is given"),
        (vec![("DATABASE_URL", "postgresql://ada@db/posts")], "several processes may serve"),
        (vec![("ALGORITHM", "EdDSA"), ("SIGNING_KEYS", ED25519)], "signs with SIGNING_KEYS"),
        (vec![("PORT", "x")], "PORT: "),
    ] {
        for command in ["secret rotate", "secret rotate --drop-old"] {
            let outcome = run_with(folder.path(), command, &environment).expect(2);
            assert!(outcome.error.contains(expected), "{}", outcome.error);
            assert!(!outcome.error.contains(GOOD_SECRET), "{}", outcome.error);
        }
    }
    assert_eq!(secrets(folder.path()), before);
    for words in ["secret", "secret nonsense", "secret rotate 1"] {
        run(folder.path(), words).expect(2);
    }
}
