//! The first start, concurrent processes, and files that must not be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{Folder, LIFETIME, texts};
use crate::auth::Algorithm;
use crate::key_store::stored_secret::StoredSecret;
use crate::key_store::{KEYS_FILE, KeyStore, OldSecrets};

const SECRET: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn problem(folder: &Folder) -> String {
    let start = folder.store().start_signing(folder.now).unwrap_err().to_string();
    let rotation = folder.store().rotate(folder.now, OldSecrets::Drop).unwrap_err().to_string();
    assert_eq!(start, rotation);
    start
}

#[test]
fn first_start_creates_a_private_file_with_one_secret() {
    let folder = Folder::new();
    let secrets = folder.start();
    let text = std::fs::read_to_string(folder.file()).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let kid = file[0]["kid"].as_str().unwrap();
    let (created_at, signs_from) = ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z");
    let entry = json!({
        "kid": kid, "secret": secrets[0], "created_at": created_at, "signs_from": signs_from
    });
    assert_eq!(file, json!([entry]));
    assert_eq!((kid.len(), secrets.len(), secrets[0].len()), (11, 1, 86));
    let mode = std::fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(folder.names(), [KEYS_FILE]);
    assert_eq!(folder.start(), secrets);
}

#[test]
fn concurrent_first_starts_agree_on_one_secret() {
    for _ in 0..20 {
        let folder = Folder::new();
        let secrets = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| folder.start())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(secrets.iter().all(|own| *own == folder.secrets()));
        assert_eq!(folder.names(), [KEYS_FILE]);
    }
}

/// A start that found no file creates one after another process has done so.
#[test]
fn file_created_by_a_concurrent_first_start_is_kept() {
    let folder = Folder::new();
    let secrets = folder.start();
    let another = StoredSecret::generate(Algorithm::HS256, folder.now).unwrap();
    folder.store().create(&[another]).unwrap();
    assert_eq!(folder.secrets(), secrets);
}

/// Each rotation adds one secret, and no process overwrites the change of another.
#[test]
fn concurrent_rotations_and_starts_lose_nothing() {
    for _ in 0..20 {
        let folder = Folder::new();
        let first = folder.start();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| folder.rotate());
                scope.spawn(|| folder.start());
            }
        });
        assert_eq!(folder.secrets().len(), 4);
        assert_eq!(folder.secrets()[3], first[0]);
    }
}

#[test]
fn dropped_secrets_do_not_return_with_a_concurrent_start() {
    for _ in 0..50 {
        let folder = Folder::new();
        folder.start();
        folder.rotate();
        std::thread::scope(|scope| {
            scope.spawn(|| folder.start());
            scope.spawn(|| folder.store().rotate(folder.now, OldSecrets::Drop).unwrap());
        });
        assert_eq!(folder.secrets().len(), 1);
    }
}

/// A killed process leaves its temporary file behind.
#[test]
fn leftover_temporary_file_does_not_block_startup() {
    let folder = Folder::new();
    for name in ["keys.new", ".tmpAAAAAA", &format!("keys.{}.new", std::process::id())] {
        std::fs::write(folder.path().join(name), "half").unwrap();
    }
    assert_eq!(folder.start(), folder.start());
    folder.rotate();
    assert_eq!(folder.secrets().len(), 2);
}

#[test]
fn unusable_file_is_an_error_that_names_it_and_stays_unchanged() {
    let entry = |secret: &str| json!({"kid": "k", "secret": secret, "created_at": "2026-05-01T12:00:00Z", "signs_from": null});
    let array = |secrets: &[&str]| -> Vec<u8> {
        let entries: Vec<_> = secrets.iter().map(|secret| entry(secret)).collect();
        json!(entries).to_string().into_bytes()
    };
    let nine: Vec<String> = (0..9).map(|number| format!("{SECRET}{number}")).collect();
    let nine: Vec<&str> = nine.iter().map(String::as_str).collect();
    let mut extra = entry(SECRET);
    extra["signed_from"] = json!(null);
    for (content, cause) in [
        (Vec::new(), "is empty"),
        (b"\n \n".to_vec(), "is empty"),
        (b"[]".to_vec(), "holds no key"),
        (SECRET.into(), "line 1, column 1 is wrong"),
        (format!("\"{SECRET}\"").into(), "does not hold keys in JSON"),
        (json!({ SECRET: SECRET }).to_string().into(), "does not hold keys in JSON"),
        (json!([{"kid": "k", "secret": SECRET}]).to_string().into(), "line 1, column 56 is wrong"),
        (json!([extra]).to_string().into(), "does not hold keys in JSON"),
        (json!([{"kid": SECRET, "created_at": SECRET}]).to_string().into(), "in JSON"),
        (vec![0xff; 40], "does not hold keys in JSON"),
        (array(&[SECRET])[..90].to_vec(), "does not hold keys in JSON"),
        (array(&["7c1f0a94e2b8"]), "key 1 has 12 bytes, HS256 needs 32 or more"),
        (array(&[SECRET, "7c1f0a94e2b8"]), "key 2 has 12 bytes"),
        (array(&[SECRET, SECRET]), "key 2 repeats an earlier key"),
        (array(&nine), "holds 9 keys, 8 is the most"),
    ] {
        let folder = Folder::new();
        std::fs::write(folder.file(), &content).unwrap();
        set_mode(&folder.file(), 0o600);
        let problem = problem(&folder);
        assert!(problem.starts_with(folder.file().to_str().unwrap()), "{problem}");
        assert!(problem.contains(cause) && !problem.contains("7c1f"), "{cause}: {problem}");
        assert!(problem.contains("; restore it from a backup, or delete it"), "{problem}");
        assert_eq!(std::fs::read(folder.file()).unwrap(), content);
        assert_eq!(folder.names(), [KEYS_FILE]);
    }
}

#[test]
fn file_that_cannot_be_read_is_an_error_that_names_it() {
    let folder = Folder::new();
    std::fs::create_dir(folder.file()).unwrap();
    let problem = problem(&folder);
    assert!(problem.contains("keys.json could not be read: is a directory"), "{problem}");
    assert!(problem.contains("make it a file that the service's user can read"), "{problem}");
    let folder = Folder::new();
    let missing = folder.store().rotate(folder.now, OldSecrets::Drop).unwrap_err().to_string();
    assert!(missing.contains("start the service once to create it"), "{missing}");
    assert!(folder.names().is_empty());
}

#[test]
fn file_that_everyone_can_access_is_an_error_until_its_mode_is_changed() {
    let folder = Folder::new();
    folder.start();
    for mode in [0o604, 0o644, 0o602, 0o601, 0o777] {
        set_mode(&folder.file(), mode);
        let problem = problem(&folder);
        assert!(problem.contains("keys.json can be accessed by everyone"), "{problem}");
        assert!(problem.contains("make its mode 0600; if others may have read it"), "{problem}");
    }
    for mode in [0o400, 0o600, 0o640, 0o660] {
        set_mode(&folder.file(), mode);
        folder.start();
    }
    folder.rotate();
    let mode = std::fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn other_algorithm_renames_the_secrets_and_keeps_their_times() {
    let mut folder = Folder::new();
    folder.start();
    let before = folder.stored().remove(0);
    folder.wait(Duration::from_secs(1));
    texts(&KeyStore::new(folder.path(), Algorithm::HS512), folder.now);
    let after = folder.stored().remove(0);
    assert_ne!(after.kid, before.kid);
    assert_eq!((after.secret, after.signs_from), (before.secret, before.signs_from));
}

/// The path of the file has the maximum length, so the longer path of a temporary file cannot be
/// created.
#[cfg(target_os = "linux")]
#[test]
fn start_that_cannot_record_signs_with_the_previous_secret() {
    const LONGEST_PATH: usize = 4095;
    let mut folder = Folder::new();
    folder.start();
    folder.wait(LIFETIME);
    folder.rotate();
    let mut deep = folder.path().to_owned();
    let length = LONGEST_PATH - "/keys.json".len() - 2;
    while deep.as_os_str().len() < length {
        let rest = length - deep.as_os_str().len() - 1;
        deep.push("d".repeat(if rest > 250 { 200 } else { rest }));
        std::fs::create_dir(&deep).unwrap();
    }
    std::fs::copy(folder.file(), deep.join(KEYS_FILE)).unwrap();
    let store = KeyStore::new(&deep, Algorithm::HS256);
    let [new, old] = &folder.secrets()[..] else { panic!("two secrets") };
    assert_eq!(texts(&store, folder.now), [old.as_str(), new]);
    let failed = store.rotate(folder.now, OldSecrets::Drop).unwrap_err().to_string();
    assert!(failed.contains("keys.json could not be replaced: "), "{failed}");
    assert_eq!(store.start_signing(folder.now).unwrap()[1].expose_secret(), new);
}
