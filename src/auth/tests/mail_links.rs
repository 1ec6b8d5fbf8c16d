//! Tokens of links in mails.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::mail_link::{LinkPurpose, MailLinks, PresentedLink};
use crate::domain::email::Email;
use crate::domain::recipient::Recipient;
use crate::domain::user::{Credentials, PasswordHash, TokensValidFrom, UserId};

const PURPOSES: [LinkPurpose; 2] = [LinkPurpose::ResetPassword, LinkPurpose::VerifyEmail];

fn recipient(id: i64, email: &str, hash: &str, valid_from: i64) -> Recipient {
    Recipient {
        email: Email::from_stored(email.to_owned()),
        credentials: Credentials {
            user_id: UserId(id),
            password_hash: PasswordHash::new(hash.to_owned()),
            tokens_valid_from: TokensValidFrom(Timestamp::from_microsecond(valid_from).unwrap()),
        },
    }
}

fn ada() -> Recipient {
    recipient(7, "ada@example.com", "$argon2id$hash", 5)
}

fn noon() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn is_valid(links: &MailLinks, purpose: LinkPurpose, token: &str, recipient: &Recipient) -> bool {
    PresentedLink::parse(token)
        .is_some_and(|link| links.is_valid(purpose, &link, recipient, noon()))
}

#[test]
fn token_is_valid_only_for_its_purpose_key_and_recipient() {
    let links = MailLinks::new(&[1; 32]);
    let [reset, verify] = PURPOSES.map(|purpose| links.issue(purpose, &ada(), noon()));
    let [reset_password, verify_email] = PURPOSES;
    assert_eq!(reset.len(), 64);
    assert!(is_valid(&links, reset_password, &reset, &ada()));
    assert!(is_valid(&links, verify_email, &verify, &ada()));
    assert!(!is_valid(&links, verify_email, &reset, &ada()));
    assert!(!is_valid(&links, reset_password, &verify, &ada()));
    assert!(!is_valid(&MailLinks::new(&[2; 32]), reset_password, &reset, &ada()));
    for changed in [
        recipient(8, "ada@example.com", "$argon2id$hash", 5),
        recipient(7, "ada@example.org", "$argon2id$hash", 5),
        recipient(7, "ada@example.com", "$argon2id$hasH", 5),
        recipient(7, "ada@example.com", "$argon2id$hash", 6),
    ] {
        assert!(!is_valid(&links, reset_password, &reset, &changed), "{changed:?}");
    }
}

#[test]
fn token_expires() {
    let links = MailLinks::new(&[1; 32]);
    for (purpose, hours) in PURPOSES.into_iter().zip([1, 24]) {
        let token = links.issue(purpose, &ada(), noon());
        let link = PresentedLink::parse(&token).unwrap();
        let end = noon() + SignedDuration::from_hours(hours);
        assert!(links.is_valid(purpose, &link, &ada(), end - SignedDuration::from_secs(1)));
        assert!(!links.is_valid(purpose, &link, &ada(), end));
        assert!(link.has_expired(end) && !link.has_expired(noon()));
    }
}

#[test]
fn other_spellings_of_a_token_are_no_tokens() {
    let token = MailLinks::new(&[1; 32]).issue(LinkPurpose::ResetPassword, &ada(), noon());
    assert!(PresentedLink::parse(&token).is_some());
    let without = |count: usize| token.chars().skip(count).collect::<String>();
    for text in [
        "",
        " ",
        &without(1),
        &format!("{token}A"),
        &format!("{token}="),
        &format!(" {token}"),
        &format!("{}+", without(1)),
        &format!("{}\u{e9}", without(2)),
    ] {
        assert_eq!(PresentedLink::parse(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn changed_token_is_invalid(index in 0_usize..64, character in "[A-Za-z0-9_-]") {
        let links = MailLinks::new(&[1; 32]);
        let token = links.issue(LinkPurpose::ResetPassword, &ada(), noon());
        let mut changed = token.clone();
        changed.replace_range(index..=index, &character);
        let valid = is_valid(&links, LinkPurpose::ResetPassword, &changed, &ada());
        prop_assert_eq!(valid, changed == token);
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text in ".{0,100}") {
        let _ = PresentedLink::parse(&text);
    }

    #[test]
    fn token_survives_for_any_recipient(id: i64, email in ".{0,40}", hash in ".{0,40}") {
        let links = MailLinks::new(&[1; 32]);
        let recipient = recipient(id, &email, &hash, 0);
        let token = links.issue(LinkPurpose::VerifyEmail, &recipient, noon());
        prop_assert!(is_valid(&links, LinkPurpose::VerifyEmail, &token, &recipient));
    }
}
