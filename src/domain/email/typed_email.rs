//! A typed text that names an account.

use super::{Email, MAX_INPUT_CHARACTERS};

/// A text that should name an account by its e-mail. It need not be a valid address: an adopted
/// database may have accounts whose e-mail sign-up would reject or write otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedEmail {
    /// The text, and the normal form if the text is an address. `None` if no account can have it.
    forms: Option<(String, String)>,
}

impl TypedEmail {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let is_possible = !text.contains('\0') && text.chars().count() <= MAX_INPUT_CHARACTERS;
        let forms = is_possible.then(|| {
            let normal = Email::parse(text).map_or_else(|_| text.to_owned(), |email| email.0);
            (text.to_owned(), normal)
        });
        Self { forms }
    }

    /// Returns the two texts to look up, in this order: as typed, and in the normal form. A text
    /// that is no address is returned twice, so that each look-up does the same work.
    #[must_use]
    pub fn forms(&self) -> [Option<&str>; 2] {
        let forms = self.forms.as_ref();
        [forms.map(|(typed, _)| typed.as_str()), forms.map(|(_, normal)| normal.as_str())]
    }
}

impl From<Email> for TypedEmail {
    fn from(email: Email) -> Self {
        Self { forms: Some((email.0.clone(), email.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_looked_up_as_typed_and_in_its_normal_form() {
        for (text, normal) in [
            ("ada@example.com", "ada@example.com"),
            ("Ada@EXAMPLE.com", "Ada@example.com"),
            (" ada@example.com", "ada@example.com"),
            ("u\u{308}@example.com", "\u{fc}@example.com"),
            ("Ada <ada@example.com>", "ada@example.com"),
            ("admin", "admin"),
            ("admin@company.local", "admin@company.local"),
            ("u@192.168.0.1", "u@192.168.0.1"),
            ("a..b@example.com", "a..b@example.com"),
            ("", ""),
        ] {
            assert_eq!(TypedEmail::new(text).forms(), [Some(text), Some(normal)], "{text:?}");
        }
    }

    #[test]
    fn impossible_text_is_not_looked_up() {
        let longest = "a".repeat(MAX_INPUT_CHARACTERS);
        assert_eq!(TypedEmail::new(&longest).forms(), [Some(longest.as_str()); 2]);
        for text in ["\0", "ada@example.com\0", &format!("{longest}a")] {
            assert_eq!(TypedEmail::new(text).forms(), [None, None], "{text:?}");
        }
    }
}
