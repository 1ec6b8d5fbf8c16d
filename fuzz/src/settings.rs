//! `.env` files: whatever stands in one, it is read or refused, and no refusal repeats a secret.

use post_api::config::{Settings, Source};

use crate::Attack;

/// References that one input may hold: each may double what it refers to, and the file is trusted.
const MOST_REFERENCES: usize = 8;

/// The beginning of the values whose repetition would be seen.
const CANARY: &str = "canary";

pub(crate) fn open() -> Attack {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if text.matches("${").count() > MOST_REFERENCES || names_a_file(text) {
            return;
        }
        let source = Source::from_parts(text, Vec::new());
        assert!(source.unreadable_lines.len() <= text.split(['\n', '\r']).count());
        assert!(source.unreadable_lines.is_sorted());
        let key = format!("SECRET_KEY={CANARY}-0123456789abcdefghijklmnopqrstuvwxyz\n");
        let url = format!("DATABASE_URL=postgresql://u:{CANARY}@127.0.0.1/d\n");
        for text in [text, &format!("{text}\n{key}{url}"), &format!("{key}{url}{text}")] {
            match Settings::load(&Source::from_parts(text, Vec::new())) {
                Ok(settings) => assert_silent(&format!("{settings:?}"), &key),
                Err(faults) => {
                    assert!(!faults.is_empty());
                    for fault in faults {
                        assert!(!fault.name.is_empty() && !fault.hint.is_empty(), "{fault}");
                        assert_silent(&fault.to_string(), &key);
                    }
                }
            }
        }
    })
}

/// Other settings may repeat what they were given.
fn assert_silent(said: &str, key: &str) {
    let secret = key.trim_start_matches("SECRET_KEY=").trim_end();
    assert!(!said.contains(secret), "{said}");
    assert!(!said.contains(&format!("u:{CANARY}@")), "{said}");
}

/// A file of this machine, which it must not be made to read.
fn names_a_file(text: &str) -> bool {
    let text = text.to_lowercase();
    ["_file", "sslrootcert", "sslcert", "sslkey"].iter().any(|name| text.contains(name))
}
