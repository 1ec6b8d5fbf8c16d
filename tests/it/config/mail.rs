//! `SMTP_URL`, `MAIL_FROM` and `PUBLIC_URL`.

use post_api::mail::MailServer;

use super::settings::{errors, load};

const ALL: [(&str, &str); 3] = [
    ("SMTP_URL", "smtps://ada:canary-secret@mail.example.org"),
    ("MAIL_FROM", "Posts <no-reply@example.org>"),
    ("PUBLIC_URL", "https://posts.example.org"),
];

/// Returns all three settings, with another value for one of them.
fn with(name: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    ALL.into_iter().map(|(other, old)| (other, if other == name { value } else { old })).collect()
}

#[test]
fn mail_is_off_until_all_three_are_set() {
    assert!(load(&[]).mail.is_none());
    assert!(load(&[("SMTP_URL", " "), ("MAIL_FROM", ""), ("PUBLIC_URL", "")]).mail.is_none());
    let settings = load(&ALL);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    let mail = settings.mail.unwrap();
    assert!(matches!(mail.server, MailServer::Smtp(_)));
    assert_eq!(mail.public_url.to_string(), "https://posts.example.org");
    let console = load(&with("SMTP_URL", "console:")).mail.unwrap();
    assert!(matches!(console.server, MailServer::Console));
}

#[test]
fn missing_setting_is_named() {
    for present in 1..7_usize {
        let is_given = |index: usize| present >> index & 1 == 1;
        let given: Vec<_> =
            (0..3).filter(|index| is_given(*index)).map(|index| ALL[index]).collect();
        let missing: Vec<_> =
            (0..3).filter(|index| !is_given(*index)).map(|index| ALL[index].0).collect();
        let found = errors(&given);
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!(
                "{}: is set without {}; set SMTP_URL, MAIL_FROM and PUBLIC_URL, or none of them",
                given[0].0,
                missing.join(" and ")
            )]
        );
    }
}

#[test]
fn value_that_cannot_be_used_is_named_without_a_secret() {
    let found = errors(&with("SMTP_URL", "smtps://canary:user"));
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["SMTP_URL: is no URL that begins with smtps:// or smtp://, and is not console:; give \
          smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST or console:, with special \
          characters in USER and PASSWORD percent-encoded"]
    );
    let found = errors(&with("MAIL_FROM", "no address"));
    assert_eq!(
        found[0].to_string(),
        "MAIL_FROM: \"no address\" cannot be used; give an e-mail address, or a name with it, such \
         as Posts <no-reply@example.org>"
    );
    let found = errors(&with("PUBLIC_URL", "posts.example.org"));
    assert_eq!(
        found[0].to_string(),
        "PUBLIC_URL: \"posts.example.org\" cannot be used; give the URL of the page, such as \
         https://posts.example.org or https://example.org/posts"
    );
}

#[test]
fn links_without_a_page_are_warned_about() {
    for (others, is_warned) in [
        (vec![("PAGE", "off")], true),
        (vec![("COMPAT", "reference")], true),
        (vec![("COMPAT", "reference"), ("PAGE", "on")], false),
        (vec![("PAGE", "on")], false),
    ] {
        let warnings = load(&[&ALL[..], &others].concat()).warnings;
        let about_url: Vec<_> =
            warnings.iter().filter(|warning| warning.name == "PUBLIC_URL").collect();
        assert_eq!(about_url.len(), usize::from(is_warned), "{others:?}: {warnings:?}");
        for warning in about_url {
            assert!(warning.to_string().contains("PAGE=off"), "{warning}");
        }
    }
    assert!(load(&[("PAGE", "off")]).warnings.is_empty());
}

#[test]
fn mail_or_page_without_tls_is_warned_about() {
    for (name, value, is_warned) in [
        ("SMTP_URL", "smtp://mail.example.org?tls=none", true),
        ("SMTP_URL", "smtp://localhost:25?tls=none", false),
        ("PUBLIC_URL", "http://posts.example.org", true),
        ("PUBLIC_URL", "http://localhost:8000", false),
    ] {
        let warnings = load(&with(name, value)).warnings;
        let names: Vec<_> = warnings.iter().map(|warning| warning.name.as_str()).collect();
        assert_eq!(names, if is_warned { vec![name] } else { vec![] }, "{value}");
    }
}
