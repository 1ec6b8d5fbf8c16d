//! Settings of the keys that sign tokens: accepted, rejected, warned about and required ones.

use post_api::auth::Algorithm;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::settings::{GOOD_SECRET, errors, load};
use crate::support::key_files::{ED25519, P256, RSA, STRONG_RSA};

const OTHER: &str = "e42d9c70a8f6b1357d0e2c4b6a8f9135";

const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgresql://ada@db/posts");

fn read(text: &str) -> Vec<String> {
    let secrets = load(&[("SECRET_KEYS", text)]).secret_keys;
    secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
}

#[track_caller]
fn problem(pairs: &[(&str, &str)]) -> (String, String) {
    let errors = errors(pairs);
    assert_eq!(errors.len(), 1, "{errors:?}");
    for (_, value) in pairs {
        let long = value.len() > 16;
        assert!(!long || !errors[0].to_string().contains(value), "{errors:?}");
    }
    (errors[0].name.clone(), errors[0].problem.clone())
}

#[test]
fn secrets_separated_by_commas_or_whitespace_keep_their_order() {
    for between in [",", " ", "\n", ", ", "\r\n", "\t,\n\n,"] {
        assert_eq!(read(&format!("{GOOD_SECRET}{between}{OTHER}")), [GOOD_SECRET, OTHER]);
        assert_eq!(
            read(&format!("{between}{OTHER}{between}{GOOD_SECRET}{between}")),
            [OTHER, GOOD_SECRET]
        );
    }
    assert_eq!(read(GOOD_SECRET), [GOOD_SECRET]);
}

#[test]
fn secrets_from_a_file_are_accepted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, format!("{GOOD_SECRET}\n{OTHER}\n")).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(load(&[("SECRET_KEYS_FILE", path)]).secret_keys.len(), 2);
    let (name, problem) = problem(&[("SECRET_KEYS_FILE", path), ("SECRET_KEYS", GOOD_SECRET)]);
    assert_eq!(name, "SECRET_KEYS");
    assert_eq!(problem, "both SECRET_KEYS and SECRET_KEYS_FILE are set");
}

#[test]
fn each_of_several_secrets_is_checked_like_a_single_one() {
    let nine: Vec<String> = (0..9).map(|number| format!("{GOOD_SECRET}{number}")).collect();
    for (text, expected) in [
        (",,", "holds no key"),
        (&format!("{GOOD_SECRET},short"), "key 2 has 5 bytes, HS256 needs 32 or more"),
        (&format!("x {GOOD_SECRET} y"), "key 1 has 1 bytes, HS256 needs 32 or more, key 3 has 1"),
        (
            &format!("{},{OTHER}", "ab".repeat(20)),
            "key 1 has 2 different characters, 8 or more are needed",
        ),
        (&format!("{OTHER},{GOOD_SECRET},{OTHER}"), "key 3 repeats an earlier key"),
        (&nine.join(","), "holds 9 keys, 8 is the most"),
    ] {
        let (name, problem) = problem(&[("SECRET_KEYS", text)]);
        assert_eq!(name, "SECRET_KEYS");
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert_eq!(load(&[("SECRET_KEYS", &nine[..8].join(","))]).secret_keys.len(), 8);
    let (_, problem) = problem(&[("SECRET_KEYS", GOOD_SECRET), ("ALGORITHM", "HS512")]);
    assert_eq!(problem, "key 1 has 32 bytes, HS512 needs 64 or more");
}

/// The key of the reference service may be weak. The service accepts it until the operator has
/// rotated it.
#[test]
fn weak_secret_in_reference_mode_is_accepted_with_a_warning() {
    let text = format!("short-but-not-so {GOOD_SECRET}");
    let settings = load(&[("COMPAT", "reference"), ("SECRET_KEYS", &text)]);
    assert_eq!(settings.warnings.len(), 1, "{settings:?}");
    assert!(settings.warnings[0].hint.starts_with("SECRET_KEYS is weak"), "{settings:?}");
    let too_weak = format!("{GOOD_SECRET} fifteen_bytes..");
    problem(&[("COMPAT", "reference"), ("SECRET_KEYS", &too_weak)]);
}

#[test]
fn serving_postgresql_with_any_kind_of_key_is_accepted() {
    for keys in [
        vec![("SECRET_KEY", GOOD_SECRET)],
        vec![("SECRET_KEYS", GOOD_SECRET)],
        vec![("SECRET_KEYS", OTHER), ("SECRET_KEY", GOOD_SECRET)],
        vec![("ALGORITHM", "EdDSA"), ("SIGNING_KEYS", ED25519)],
    ] {
        let pairs: Vec<_> = keys.into_iter().chain([POSTGRES]).collect();
        load(&pairs).check_for_serving().unwrap();
    }
}

/// The service generates no key pairs, because clients need the public keys before it signs.
#[test]
fn serving_without_a_required_key_pair_is_rejected() {
    for database in [vec![], vec![POSTGRES]] {
        let pairs: Vec<_> = database.into_iter().chain([("ALGORITHM", "ES256")]).collect();
        let errors = load(&pairs).check_for_serving().unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].to_string().split(';').next(), Some("SIGNING_KEYS: is missing"));
    }
}

/// RFC 7518 allows 2048 bits, and so does the service.
#[test]
fn short_rsa_key_is_accepted_with_a_warning() {
    let both = format!("{STRONG_RSA}{RSA}");
    for (algorithm, pem, expected) in [
        ("RS256", RSA, Some("key 1 has 2048 bits: ")),
        ("RS256", &both, Some("key 2 has 2048 bits: ")),
        ("RS256", STRONG_RSA, None),
        ("ES256", P256, None),
        ("EdDSA", ED25519, None),
    ] {
        let settings = load(&[("ALGORITHM", algorithm), ("SIGNING_KEYS", pem)]);
        let warnings = settings.warnings;
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{algorithm}: {warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert_eq!(warning.name, "SIGNING_KEYS");
            assert!(warning.problem.starts_with(expected), "{warning:?}");
            assert!(warning.problem.contains("112 (NIST SP 800-57 part 1)"), "{warning:?}");
        }
    }
}

#[test]
fn key_pair_is_parsed_for_its_algorithm() {
    for (algorithm, pem) in [("RS256", RSA), ("ES256", P256), ("EdDSA", ED25519)] {
        let settings = load(&[("ALGORITHM", algorithm), ("SIGNING_KEYS", pem)]);
        assert_eq!(settings.signing_keys.len(), 1);
        assert_eq!(settings.algorithm.name(), algorithm);
        let printed = format!("{settings:?}");
        let secret = pem.lines().nth(1).unwrap();
        assert!(!printed.contains(secret) && printed.contains("[redacted]"), "{printed}");
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key.pem");
    std::fs::write(&path, ED25519).unwrap();
    let path = path.to_str().unwrap();
    let settings = load(&[("ALGORITHM", "eddsa"), ("SIGNING_KEYS_FILE", path)]);
    assert_eq!((settings.signing_keys.len(), settings.algorithm), (1, Algorithm::EdDSA));
    let (name, problem) = problem(&[("ALGORITHM", "RS256"), ("SIGNING_KEYS", P256)]);
    assert_eq!(name, "SIGNING_KEYS");
    assert!(problem.starts_with("key 1 cannot be used with RS256"), "{problem}");
}

/// An unused key is an error, because the operator may rely on it.
#[test]
fn keys_that_the_algorithm_does_not_use_are_rejected() {
    for (algorithm, name, value) in [
        ("HS256", "SIGNING_KEYS", ED25519),
        ("HS512", "SIGNING_KEYS", RSA),
        ("EdDSA", "SECRET_KEY", GOOD_SECRET),
        ("RS256", "SECRET_KEYS", GOOD_SECRET),
    ] {
        let (named, problem) = problem(&[("ALGORITHM", algorithm), (name, value)]);
        assert_eq!(named, name);
        assert_eq!(problem, format!("is not used with ALGORITHM={algorithm}"));
    }
}
