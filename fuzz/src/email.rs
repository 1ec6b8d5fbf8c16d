//! Target for e-mails: the normal form of an accepted e-mail is stable, and no mail program, log or
//! database can misread it.

use post_api::domain::email::Email;

use crate::FuzzTarget;

pub(crate) fn prepare() -> FuzzTarget {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Ok(email) = Email::parse(text) else { return };
        let normalized = email.as_str();
        assert_eq!(Email::parse(normalized).as_ref(), Ok(&email), "the normal form is stable");
        assert!(
            !normalized.chars().any(|letter| letter.is_control() || letter == ' '),
            "{normalized:?}"
        );
        assert!(normalized.len() <= 320 * 4, "{normalized:?}");
        let (local, domain) = normalized.rsplit_once('@').expect("an e-mail has an @");
        assert!(!local.is_empty() && domain.contains('.'), "{normalized:?}");
        // ASCII only: Unicode folds Cherokee letters to upper case.
        assert!(!domain.contains(|letter: char| letter.is_ascii_uppercase()), "{normalized:?}");
    })
}
