//! Unique secrets, and the search for them in every encoding.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::stress::rng::Rng;

const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/// The characters of a core, the part of a canary that no text encoding changes.
const CORE: usize = 24;

pub(super) struct Canary {
    pub(super) name: String,
    /// The secret itself.
    pub(super) text: String,
    /// Each form of each half, normalized like a [`Haystack`].
    needles: Vec<(&'static str, String)>,
}

impl Canary {
    /// Generates a password with characters that encodings change.
    pub(super) fn password(name: &str, rng: &mut Rng) -> Self {
        let core = generate(rng);
        Self::new(name, format!("{core} \"ü\\+/&=%<"), &core)
    }

    /// Generates a secret of letters and digits.
    pub(super) fn word(name: &str, rng: &mut Rng) -> Self {
        let core = generate(rng);
        Self::new(name, core.clone(), &core)
    }

    /// Returns a canary for a secret that the service generated.
    pub(super) fn from_text(name: &str, text: &str) -> Self {
        Self::new(name, text.to_owned(), text)
    }

    /// Searches for each half, as half a secret is a leak too.
    fn new(name: &str, text: String, core: &str) -> Self {
        let (first, second) = core.split_at(core.len() / 2);
        let needles = [first, second].into_iter().flat_map(|half| forms(half.as_bytes()));
        let needles = needles.map(|(form, needle)| (form, Haystack::normalize(&needle))).collect();
        Self { name: name.to_owned(), text, needles }
    }

    /// Returns the secret as a query or a form encodes it.
    pub(super) fn encoded(&self) -> String {
        form_urlencoded::byte_serialize(self.text.as_bytes()).collect()
    }
}

/// A normalized text to search: in lowercase, with one alphabet for base64, and without white space
/// and line breaks. A false positive is better than a missed secret.
pub(super) struct Haystack {
    text: String,
    /// Tells the hashes of all runs of four bytes. A search for thousands of needles reads the text
    /// only for those whose runs are all there.
    runs: Vec<bool>,
}

impl Haystack {
    pub(super) fn new(text: impl AsRef<[u8]>) -> Self {
        let text = Self::normalize(&String::from_utf8_lossy(text.as_ref()));
        let mut runs = vec![false; (16 * text.len()).next_power_of_two().clamp(1 << 10, 1 << 24)];
        for run in text.as_bytes().array_windows() {
            let hash = hash(*run) & (runs.len() - 1);
            runs[hash] = true;
        }
        Self { text, runs }
    }

    fn contains(&self, needle: &str) -> bool {
        let is_there = |run: &[u8; 4]| self.runs[hash(*run) & (self.runs.len() - 1)];
        needle.as_bytes().array_windows().all(is_there) && self.text.contains(needle)
    }

    fn normalize(text: &str) -> String {
        let mut text = text.to_ascii_lowercase();
        for (one, other) in [("%2b", "+"), ("%2f", "/"), ("\\n", ""), ("\\/", "/")] {
            text = text.replace(one, other);
        }
        text.retain(|character| !character.is_whitespace());
        text.replace('-', "+").replace('_', "/")
    }

    /// Returns the canaries that the text contains, with their form.
    pub(super) fn find<'a>(&self, canaries: impl IntoIterator<Item = &'a Canary>) -> Vec<String> {
        let mut found = Vec::new();
        for canary in canaries {
            for (form, needle) in &canary.needles {
                if self.contains(needle) {
                    found.push(format!("{} ({form})", canary.name));
                }
            }
        }
        found
    }
}

fn hash(run: [u8; 4]) -> usize {
    let hash = u32::from_le_bytes(run).wrapping_mul(0x9e37_79b1) >> 8;
    hash.try_into().unwrap()
}

fn generate(rng: &mut Rng) -> String {
    (0..CORE).map(|_| char::from(*rng.pick(LETTERS))).collect()
}

fn forms(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let spell = |write: fn(&u8) -> String| bytes.iter().map(write).collect::<Vec<_>>();
    let mut forms = vec![
        ("unchanged", String::from_utf8(bytes.to_vec()).unwrap()),
        ("in hexadecimal", each(bytes, "")),
        ("percent-encoded", each(bytes, "%")),
        ("escaped", each(bytes, "\\x")),
        ("escaped as in JSON", each(bytes, "\\u00")),
        ("as entities", spell(|byte| format!("&#{byte};")).concat()),
        ("in octal", spell(|byte| format!("\\{byte:03o}")).concat()),
        ("with colons", each(bytes, ":")[1..].to_owned()),
        ("as a list of bytes", spell(u8::to_string).join(",")),
        ("as a hexadecimal list", spell(|byte| format!("{byte:x}")).join(",")),
        ("as a list with 0x", spell(|byte| format!("0x{byte:02x}")).join(",")),
    ];
    forms.extend((0..3).map(|shift| ("in base64", base64_after(shift, bytes))));
    forms
}

fn each(bytes: &[u8], prefix: &str) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{prefix}{byte:02x}").unwrap();
        text
    })
}

/// Returns the part of the base64 that only these bytes determine, after this many other bytes.
fn base64_after(others: usize, bytes: &[u8]) -> String {
    let text = STANDARD_NO_PAD.encode([&vec![0; others], bytes].concat());
    let first = (others * 8).div_ceil(6);
    let end = (others + bytes.len()) * 8 / 6;
    text[first..end].to_owned()
}

mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::{Canary, Haystack};
    use crate::stress::rng::Rng;

    fn finds(canary: &Canary, text: &str) -> bool {
        !Haystack::new(text).find([canary]).is_empty()
    }

    #[test]
    fn canary_is_found_in_every_form() {
        let canary = Canary::password("password", &mut Rng::new(7));
        let text = &canary.text;
        for others in ["", "a", "ab", "abc", "user:"] {
            let secret = format!("{others}{text}");
            let spell = |write: fn(u8) -> String| secret.bytes().map(write).collect::<String>();
            for form in [
                secret.clone(),
                secret.to_uppercase(),
                json!({ "field": secret }).to_string(),
                format!("{secret:?}"),
                format!("{:?}", secret.as_bytes()),
                json!(secret.as_bytes()).to_string(),
                form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
                STANDARD.encode(&secret),
                URL_SAFE_NO_PAD.encode(&secret),
                form_urlencoded::byte_serialize(STANDARD.encode(&secret).as_bytes()).collect(),
                json!(STANDARD.encode(&secret)).to_string().replace('/', "\\/"),
                STANDARD.encode(&secret).replace('A', "A\n").replace('b', "b\\n"),
                format!("{:#?}", secret.as_bytes()),
                format!("{:x?}", secret.as_bytes()),
                format!("{:#04x?}", secret.as_bytes()),
                spell(|byte| format!("{byte:02X}")),
                spell(|byte| format!("{byte:02X} ")),
                spell(|byte| format!("{byte:02x}:")),
                spell(|byte| format!("%{byte:02X}")),
                spell(|byte| format!("\\{byte:03o}")),
                spell(|byte| format!("&#{byte};")),
            ] {
                assert!(finds(&canary, &format!("before {form} after")), "{form}");
            }
        }
        assert!(finds(&canary, &text[..12]) && finds(&canary, &text[12..24]), "halves");
    }

    #[test]
    fn other_text_is_not_found() {
        let mut rng = Rng::new(8);
        let canary = Canary::password("password", &mut rng);
        for _ in 0..100 {
            let other = Canary::password("other", &mut rng);
            assert!(!finds(&canary, &other.text) && !finds(&canary, &STANDARD.encode(&other.text)));
        }
        assert!(!finds(&canary, "\"ü\\+/&=%<") && !finds(&canary, ""));
    }
}
