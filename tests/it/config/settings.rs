//! Settings: defaults, precedence of sources, presets and secrets.

use std::path::Path;
use std::time::Duration;

use post_api::auth::Algorithm;
use post_api::config::{LogFormat, SETTINGS, SettingError, Settings, Source, effective_settings};
use post_api::domain::policy::{DraftVisibility, Policy};
use post_api::server::AllowedOrigins;
use secrecy::ExposeSecret as _;
use tracing::level_filters::LevelFilter;

use super::database::file_of;

pub(super) const GOOD_SECRET: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";

pub(super) fn source(pairs: &[(&str, &str)]) -> Source {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Source::from_parts("", pairs.iter().map(own).collect())
}

#[track_caller]
pub(super) fn load(pairs: &[(&str, &str)]) -> Settings {
    Settings::load(&source(pairs)).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[track_caller]
pub(super) fn errors(pairs: &[(&str, &str)]) -> Vec<SettingError> {
    match Settings::load(&source(pairs)) {
        Ok(_) => panic!("accepted: {pairs:?}"),
        Err(errors) => errors,
    }
}

#[test]
fn settings_without_input_are_the_defaults() {
    let settings = load(&[]);
    assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8000));
    assert_eq!(file_of(&settings), Path::new("./data/posts.db"));
    assert!(settings.secret_key.is_none());
    assert_eq!(settings.algorithm, Algorithm::HS256);
    assert_eq!(settings.token_lifetime, Duration::from_mins(30));
    assert_eq!(settings.policy, Policy::default());
    assert_eq!(settings.keep_alive_timeout, Duration::from_secs(75));
    assert_eq!(settings.client_memory, 512 * 1024 * 1024);
    assert_eq!(settings.cors_origins, AllowedOrigins::Any);
    assert_eq!(settings.root_path, "");
    assert!(settings.docs && settings.access_log);
    assert_eq!(settings.log_format, LogFormat::Text);
    assert_eq!(settings.log_level, LevelFilter::INFO);
    // Each documented default is a valid value.
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        load(&[(setting.name, setting.default)]);
    }
}

#[test]
fn setting_names_ignore_case_and_prefer_upper_case() {
    assert_eq!(load(&[("port", "1")]).port, 1);
    assert_eq!(load(&[("Port", "1"), ("PORT", "2")]).port, 2);
    assert_eq!(load(&[("PORT", "2"), ("port", "1")]).port, 2);
    let from_file = Source::from_parts("pOrT=3\nroot_path=/a\n", Vec::new());
    let settings = Settings::load(&from_file).unwrap();
    assert_eq!((settings.port, settings.root_path.as_str()), (3, "/a"));
}

#[test]
fn environment_overrides_the_file_and_blank_means_default() {
    let text = "PORT=1\nROOT_PATH=/file\nDOCS=off\nUNKNOWN=x\nOther\n";
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = vec![pair("PORT", "2"), pair("DOCS", "  "), pair("ELSEWHERE", "x")];
    let source = Source::from_parts(text, environment);
    let settings = Settings::load(&source).unwrap();
    assert_eq!((settings.port, settings.root_path.as_str()), (2, "/file"));
    assert!(settings.docs, "a blank value in the environment is not the default");
    assert_eq!(source.unknown_lines, [4, 5], "only names of the file are reported");
}

type Change = fn(&mut Policy);

#[test]
fn each_setting_overrides_the_reference_preset() {
    let preset = load(&[("COMPAT", "reference")]).policy;
    assert_eq!(preset, Policy::reference());
    assert_ne!(preset, Policy::default());
    let changes: [(&str, &str, Change); 7] = [
        ("DRAFT_VISIBILITY", "private", |policy| {
            policy.draft_visibility = DraftVisibility::Private;
        }),
        ("POSTS_DEFAULT_LIMIT", "7", |policy| policy.posts_default_limit = Some(7)),
        ("PUBLIC_EMAILS", "off", |policy| policy.public_emails = false),
        ("ANONYMOUS_READS", "on", |policy| policy.anonymous_reads = true),
        ("PASSWORD_MIN_LENGTH", "9", |policy| policy.passwords.minimum_length = 9),
        ("PASSWORD_BLOCKLIST", "on", |policy| policy.passwords.blocklist = true),
        ("PASSWORD_FORBIDDEN_WORDS", " Acme, ZÜRICH,,42nd Street ", |policy| {
            let words = ["acme", "zürich", "42nd street"].map(str::to_owned);
            policy.passwords.forbidden_words = words.to_vec();
        }),
    ];
    for (name, value, change) in changes {
        let mut expected = Policy::reference();
        change(&mut expected);
        assert_eq!(load(&[("COMPAT", "reference"), (name, value)]).policy, expected, "{name}");
        let mut expected = Policy::default();
        change(&mut expected);
        assert_eq!(load(&[(name, value)]).policy, expected, "only {name}");
    }
}

#[test]
fn secret_shorter_than_its_algorithm_needs_is_rejected() {
    for (algorithm, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let text = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(2);
        let pairs =
            |length| [("ALGORITHM", algorithm), ("SECRET_KEY", text.get(..length).unwrap())];
        load(&pairs(least));
        let errors = errors(&pairs(least - 1));
        let problem = format!("has {} bytes, {algorithm} needs {least} or more", least - 1);
        assert_eq!(errors[0].problem, problem);
        assert!(!errors[0].to_string().contains(text.get(..least - 1).unwrap()));
    }
    let weak = load(&[("COMPAT", "reference"), ("SECRET_KEY", "short, but not so")]);
    assert_eq!(weak.warnings.len(), 1, "{weak:?}");
    assert_eq!(weak.secret_key.unwrap().expose_secret(), "short, but not so");
    // A secret of 15 bytes or less is rejected in every mode, because it can be guessed.
    assert_eq!(errors(&[("COMPAT", "reference"), ("SECRET_KEY", "fifteen bytes..")]).len(), 1);
}

#[test]
fn blank_secret_file_is_rejected() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "\n").unwrap();
    let path = path.to_str().unwrap();
    for compat in ["", "reference"] {
        let errors = errors(&[("COMPAT", compat), ("SECRET_KEY_FILE", path)]);
        assert!(errors[0].problem.ends_with("is empty"), "{errors:?}");
    }
}

/// If both `NAME` and `NAME_FILE` are set, the one from the source with higher precedence counts.
#[test]
fn source_precedence_applies_across_value_and_file_forms() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, GOOD_SECRET).unwrap();
    let path = path.to_str().unwrap();
    let other = "another secret of more than thirty-two bytes";
    let secret = |env_text: &str, name: &str, value: &str| {
        let environment = vec![(name.to_owned(), value.to_owned())];
        let settings = Settings::load(&Source::from_parts(env_text, environment)).unwrap();
        settings.secret_key.unwrap().expose_secret().to_owned()
    };
    let file_below = format!("SECRET_KEY_FILE={path}\n");
    assert_eq!(secret(&file_below, "SECRET_KEY", other), other);
    let value_below = format!("SECRET_KEY='{other}'\n");
    assert_eq!(secret(&value_below, "SECRET_KEY_FILE", path), GOOD_SECRET);
    let mut source = Source::from_parts(&format!("DATABASE_URL_FILE={path}\n"), Vec::new());
    source.set("DATABASE_URL", "sqlite:here.db".to_owned());
    assert_eq!(file_of(&Settings::load(&source).unwrap()), Path::new("here.db"));
}

#[test]
fn unreadable_lines_are_reported() {
    let source = Source::from_parts("PORT=1\nSECRET_KEY='never ends\nHOST=::1\n", Vec::new());
    assert_eq!(source.unreadable_lines, [2]);
}

#[test]
fn effective_settings_show_preset_values() {
    let shown = |pairs: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        effective_settings(&Source::from_parts("", pairs.iter().map(own).collect()))
    };
    assert!(shown(&[]).contains("\nDRAFT_VISIBILITY=private  # default\n"));
    let reference = shown(&[("COMPAT", "reference"), ("PUBLIC_EMAILS", "off")]);
    for line in [
        "DRAFT_VISIBILITY=visible  # COMPAT=reference",
        "POSTS_DEFAULT_LIMIT=none  # COMPAT=reference",
        "PUBLIC_EMAILS=off",
        "PASSWORD_MIN_LENGTH=0  # COMPAT=reference",
        "PASSWORD_BLOCKLIST=off  # COMPAT=reference",
        "PAGE=off  # COMPAT=reference",
    ] {
        assert!(reference.lines().any(|shown| shown == line), "{line}: {reference}");
    }
}

#[test]
fn documented_presets_are_the_reference_policy() {
    let presets: Vec<(&str, &str)> = SETTINGS
        .iter()
        .filter_map(|setting| setting.reference.map(|preset| (setting.name, preset)))
        .collect();
    assert_eq!(load(&presets).policy, Policy::reference());
    assert_eq!(load(&[("COMPAT", "reference")]).policy, Policy::reference());
}

/// The secret itself may stand where the name of its file should stand.
#[test]
fn missing_secret_file_is_shown_only_in_an_existing_folder() {
    let folder = tempfile::TempDir::new().unwrap();
    let missing = folder.path().join("key");
    let errors_of = |value: &str| errors(&[("SECRET_KEY_FILE", value)]);
    let problem = errors_of(missing.to_str().unwrap())[0].problem.clone();
    assert!(problem.starts_with(missing.to_str().unwrap()), "{problem}");
    for value in [GOOD_SECRET, "/aGVsbG8", "aGVsbG8/aGVsbG8", "/nowhere/key"] {
        let errors = errors_of(value);
        assert_eq!(errors[0].problem, "SECRET_KEY_FILE names a file that does not exist");
        assert!(!format!("{errors:?}").contains(value), "{errors:?}");
    }
}

/// The reference service answers 404 at `/`.
#[test]
fn page_is_on_unless_it_is_turned_off() {
    let reference = ("COMPAT", "reference");
    assert!(load(&[]).page);
    assert!(!load(&[("PAGE", "off")]).page);
    assert!(!load(&[reference]).page);
    assert!(load(&[reference, ("PAGE", "on")]).page);
}

#[test]
fn secret_from_a_file_loses_its_last_line_end() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{GOOD_SECRET}\r\n")).unwrap();
    let path = path.to_str().unwrap();
    let settings = load(&[("SECRET_KEY_FILE", path)]);
    assert_eq!(settings.secret_key.unwrap().expose_secret(), GOOD_SECRET);
    let settings = load(&[("SECRET_KEY_FILE", path), ("SECRET_KEY", " ")]);
    assert_eq!(settings.secret_key.unwrap().expose_secret(), GOOD_SECRET);

    let both = errors(&[("SECRET_KEY_FILE", path), ("SECRET_KEY", GOOD_SECRET)]);
    assert_eq!(both[0].problem, "both SECRET_KEY and SECRET_KEY_FILE are set");
    std::fs::write(path, "\n").unwrap();
    assert_eq!(
        errors(&[("SECRET_KEY_FILE", path)])[0].name,
        "SECRET_KEY",
        "the error names another setting"
    );
}

#[test]
fn debug_output_hides_secrets() {
    let url = "postgresql://ada:hunter2@db/posts";
    let settings = load(&[("SECRET_KEY", GOOD_SECRET), ("DATABASE_URL", url)]);
    let printed = format!("{settings:?} {settings:#?}");
    assert!(!printed.contains(GOOD_SECRET) && !printed.contains("hunter2"), "{printed}");
}
