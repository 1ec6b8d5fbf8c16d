//! Secrets that nothing else looks like, and the search for them in whatever form they come out.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::stress::rng::Rng;

const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/// Characters of a core, the part of a canary that no encoding of texts changes.
const CORE: usize = 24;

pub(super) struct Canary {
    pub(super) name: String,
    /// As it is used.
    pub(super) text: String,
    /// Each form of each half, in the spelling of [`Haystack`].
    needles: Vec<(&'static str, String)>,
}

impl Canary {
    /// A password with everything that some encoding changes.
    pub(super) fn password(name: &str, rng: &mut Rng) -> Self {
        let core = generate(rng);
        Self::new(name, format!("{core} \"ü\\+/&=%<"), &core)
    }

    /// Letters and digits alone.
    pub(super) fn word(name: &str, rng: &mut Rng) -> Self {
        let core = generate(rng);
        Self::new(name, core.clone(), &core)
    }

    /// A secret that was made by the service.
    pub(super) fn from_text(name: &str, text: &str) -> Self {
        Self::new(name, text.to_owned(), text)
    }

    /// Half a secret is a leak as well.
    fn new(name: &str, text: String, core: &str) -> Self {
        let (first, second) = core.split_at(core.len() / 2);
        let needles = [first, second].into_iter().flat_map(|half| forms(half.as_bytes()));
        let needles = needles.map(|(form, needle)| (form, Haystack::normalize(&needle))).collect();
        Self { name: name.to_owned(), text, needles }
    }

    /// As a query or a form says it.
    pub(super) fn encoded(&self) -> String {
        form_urlencoded::byte_serialize(self.text.as_bytes()).collect()
    }
}

/// A text that is searched. Capitals are small letters, the two alphabets of base64 are one, and
/// nothing is between two characters that a printer may have put there: none is worth missing a secret
/// for.
pub(super) struct Haystack(String);

impl Haystack {
    pub(super) fn new(text: impl AsRef<[u8]>) -> Self {
        Self(Self::normalize(&String::from_utf8_lossy(text.as_ref())))
    }

    fn normalize(text: &str) -> String {
        let mut text = text.to_ascii_lowercase();
        for (one, other) in [("%2b", "+"), ("%2f", "/"), ("\\n", ""), ("\\/", "/")] {
            text = text.replace(one, other);
        }
        text.retain(|character| !character.is_whitespace());
        text.replace('-', "+").replace('_', "/")
    }

    /// Which of them are in it, and in what form.
    pub(super) fn find<'a>(&self, canaries: impl IntoIterator<Item = &'a Canary>) -> Vec<String> {
        let mut found = Vec::new();
        for canary in canaries {
            for (form, needle) in &canary.needles {
                if self.0.contains(needle) {
                    found.push(format!("{} ({form})", canary.name));
                }
            }
        }
        found
    }
}

fn generate(rng: &mut Rng) -> String {
    (0..CORE).map(|_| char::from(*rng.pick(LETTERS))).collect()
}

fn forms(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let spell = |write: fn(&u8) -> String| bytes.iter().map(write).collect::<Vec<_>>();
    let mut forms = vec![
        ("as it is", String::from_utf8(bytes.to_vec()).unwrap()),
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

/// What the bytes alone decide of their base64, when so many others come before them.
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
            let output = format!("{others}{text}");
            let spell = |write: fn(u8) -> String| output.bytes().map(write).collect::<String>();
            for form in [
                output.clone(),
                output.to_uppercase(),
                json!({ "field": output }).to_string(),
                format!("{output:?}"),
                format!("{:?}", output.as_bytes()),
                json!(output.as_bytes()).to_string(),
                form_urlencoded::byte_serialize(output.as_bytes()).collect(),
                STANDARD.encode(&output),
                URL_SAFE_NO_PAD.encode(&output),
                form_urlencoded::byte_serialize(STANDARD.encode(&output).as_bytes()).collect(),
                json!(STANDARD.encode(&output)).to_string().replace('/', "\\/"),
                STANDARD.encode(&output).replace('A', "A\n").replace('b', "b\\n"),
                format!("{:#?}", output.as_bytes()),
                format!("{:x?}", output.as_bytes()),
                format!("{:#04x?}", output.as_bytes()),
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
