//! Target for `.env` files: the service loads or rejects every file, and no error shows a secret.

use post_api::config::{Settings, Source};

use crate::FuzzTarget;

/// The most `${NAME}` references of one input: each may double the size, and the file is trusted.
const MAX_REFERENCES: usize = 8;

/// The start of the secret values, by which a leak is recognized.
const CANARY: &str = "canary";

pub(crate) fn prepare() -> FuzzTarget {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if text.matches("${").count() > MAX_REFERENCES || refers_to_file(text) {
            return;
        }
        let source = Source::from_parts(text, Vec::new());
        assert!(source.unreadable_lines.len() <= text.split(['\n', '\r']).count());
        assert!(source.unreadable_lines.is_sorted());
        let key = format!("SECRET_KEY={CANARY}-0123456789abcdefghijklmnopqrstuvwxyz\n");
        let url = format!("DATABASE_URL=postgresql://u:{CANARY}@127.0.0.1/d\n");
        for text in [text, &format!("{text}\n{key}{url}"), &format!("{key}{url}{text}")] {
            match Settings::load(&Source::from_parts(text, Vec::new())) {
                Ok(settings) => assert_hides_secrets(&format!("{settings:?}"), &key),
                Err(errors) => {
                    assert!(!errors.is_empty());
                    for error in errors {
                        assert!(!error.name.is_empty() && !error.hint.is_empty(), "{error}");
                        assert_hides_secrets(&error.to_string(), &key);
                    }
                }
            }
        }
    })
}

/// Checks the secrets only: errors may show the values of other settings.
fn assert_hides_secrets(output: &str, key: &str) {
    let secret = key.trim_start_matches("SECRET_KEY=").trim_end();
    assert!(!output.contains(secret), "{output}");
    assert!(!output.contains(&format!("u:{CANARY}@")), "{output}");
}

/// Returns whether a setting names a file: the target must not read files of this machine.
fn refers_to_file(text: &str) -> bool {
    let text = text.to_lowercase();
    ["_file", "passfile", "sslrootcert", "sslcert", "sslkey"].iter().any(|name| text.contains(name))
}
