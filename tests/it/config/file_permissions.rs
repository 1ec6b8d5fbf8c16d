//! Warnings about secret files that everyone can read or write.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use post_api::config::{SETTINGS, Settings, Source};
use tempfile::TempDir;

use super::settings::{GOOD_SECRET, load};
use crate::support::key_files::ED25519;

type Pair = (&'static str, &'static str);

/// Each setting that names a secret file, its content, and the other settings that it needs.
const FILES: [(&str, &str, &[Pair]); 7] = [
    ("SECRET_KEY_FILE", GOOD_SECRET, &[]),
    ("SECRET_KEYS_FILE", GOOD_SECRET, &[]),
    ("SIGNING_KEYS_FILE", ED25519, &[("ALGORITHM", "EdDSA")]),
    ("DATABASE_URL_FILE", "sqlite:posts.db", &[]),
    (
        "DATABASE_PASSWORD_FILE",
        "hunter2",
        &[
            ("DATABASE_HOSTNAME", "localhost"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_NAME", "posts"),
            ("DATABASE_USERNAME", "ada"),
        ],
    ),
    (
        "SMTP_URL_FILE",
        "smtps://ada:hunter2@mail.example.org",
        &[("MAIL_FROM", "a@example.org"), ("PUBLIC_URL", "https://example.org")],
    ),
    ("TLS_KEY", "only looked at", &[("TLS_CERT", "certificate.pem")]),
];

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn secret_file_open_to_everyone_is_warned_about() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("secret");
    for (name, text, others) in FILES {
        std::fs::write(&path, text).unwrap();
        for (mode, is_warned) in [
            (0o400, false),
            (0o600, false),
            (0o640, false),
            (0o660, false),
            (0o444, true),
            (0o604, true),
            (0o644, true),
            (0o602, true),
        ] {
            set_mode(&path, mode);
            let pairs: Vec<_> =
                others.iter().copied().chain([(name, path.to_str().unwrap())]).collect();
            let warnings = load(&pairs).warnings;
            assert_eq!(warnings.len(), usize::from(is_warned), "{name} {mode:o}: {warnings:?}");
            for warning in warnings {
                assert_eq!(warning.name, name);
                let expected =
                    format!("{}: everyone on this machine can access it", path.display());
                assert_eq!(warning.problem, expected);
                assert!(!warning.to_string().contains(text), "{warning:?}");
            }
        }
    }
}

#[test]
fn every_secret_setting_is_covered() {
    for setting in SETTINGS.iter().filter(|setting| setting.is_secret) {
        let file_name = format!("{}_FILE", setting.name);
        assert!(FILES.iter().any(|(name, ..)| *name == file_name), "{file_name}");
    }
}

#[test]
fn unused_secret_file_is_not_checked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, GOOD_SECRET).unwrap();
    set_mode(&path, 0o644);
    let below = format!("SECRET_KEY_FILE={}\n", path.display());
    let above = vec![("SECRET_KEY".to_owned(), GOOD_SECRET.to_owned())];
    let settings = Settings::load(&Source::from_parts(&below, above)).unwrap();
    assert_eq!(settings.warnings, []);
}
