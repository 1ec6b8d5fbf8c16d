//! Addresses: what is accepted is in its normal form for good, and is nothing that a mail, a log or a
//! database could take for something else.

use post_api::domain::email::Email;

use crate::Attack;

pub(crate) fn open() -> Attack {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Ok(email) = Email::parse(text) else { return };
        let normal = email.as_str();
        assert_eq!(Email::parse(normal).as_ref(), Ok(&email), "normalised once and for all");
        assert!(!normal.chars().any(|letter| letter.is_control() || letter == ' '), "{normal:?}");
        assert!(normal.len() <= 320 * 4, "{normal:?}");
        let (local, domain) = normal.rsplit_once('@').expect("an address");
        assert!(!local.is_empty() && domain.contains('.'), "{normal:?}");
        // Not all of Unicode: Cherokee is folded to its capitals.
        assert!(!domain.contains(|letter: char| letter.is_ascii_uppercase()), "{normal:?}");
    })
}
