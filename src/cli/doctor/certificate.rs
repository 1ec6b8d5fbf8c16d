//! The check of the listener's certificate.

use jiff::{SignedDuration, Timestamp};

use crate::cli::serve::TLS_HINT;
use crate::config::Settings;
use crate::server::{Certificate, Tls, read_certificate};
use crate::store::inspection::Finding;

/// A certificate is renewed earlier than this before its end.
const NEAR_END: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Checks that the certificate is valid now and for two more weeks, and that the key belongs to it.
pub(super) fn check(settings: &Settings, now: Timestamp) -> Finding {
    let Some(files) = &settings.tls else {
        return Finding::ok("TLS_CERT is not set: the service speaks plain HTTP");
    };
    if let Err(unusable) = Tls::open(files.certificate.clone(), files.key.clone()) {
        return Finding::fail(unusable.to_string(), TLS_HINT);
    }
    match read_certificate(&files.certificate) {
        Ok(certificate) => judge(&certificate, now),
        Err(error) => {
            let path = files.certificate.display();
            Finding::fail(format!("{path} cannot be parsed: {error}"), TLS_HINT)
        }
    }
}

fn judge(certificate: &Certificate, now: Timestamp) -> Finding {
    const RENEW: &str =
        "renew it, and put it in place of TLS_CERT: the service loads it within seconds";
    let Certificate { names, valid_from, valid_until } = certificate;
    let detail = format!("the certificate of {} ends {valid_until:.0}", names.join(", "));
    if names.is_empty() {
        let detail = "the certificate names no host, and clients refuse it";
        return Finding::fail(detail, "issue one with a subject alternative name");
    }
    if now < *valid_from {
        let cure = "correct the clock of this machine, or wait";
        return Finding::fail(format!("{detail}, and begins {valid_from:.0}"), cure);
    }
    let left = valid_until.duration_since(now);
    if left <= SignedDuration::ZERO {
        Finding::fail(format!("{detail}: it has ended"), RENEW)
    } else if left <= NEAR_END {
        Finding::warn(format!("{detail}, within two weeks"), RENEW)
    } else {
        Finding::ok(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::inspection::Verdict;

    #[test]
    fn certificate_is_valid_between_its_dates() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let certificate = Certificate {
            names: vec!["posts.example.org".to_owned()],
            valid_from: at("2026-01-01T00:00:00Z"),
            valid_until: at("2026-12-31T00:00:00Z"),
        };
        for (now, verdict) in [
            ("2025-12-31T23:59:59Z", Verdict::Fail),
            ("2026-01-01T00:00:00Z", Verdict::Ok),
            ("2026-12-16T23:59:59Z", Verdict::Ok),
            ("2026-12-17T00:00:00Z", Verdict::Warn),
            ("2026-12-30T23:59:59Z", Verdict::Warn),
            ("2026-12-31T00:00:00Z", Verdict::Fail),
        ] {
            let finding = judge(&certificate, at(now));
            assert_eq!(finding.verdict, verdict, "{now}");
            assert!(
                finding.detail.contains("posts.example.org ends 2026-12-31T00:00:00Z"),
                "{now}"
            );
        }
        let nameless = Certificate { names: Vec::new(), ..certificate };
        assert_eq!(judge(&nameless, at("2026-06-01T00:00:00Z")).verdict, Verdict::Fail);
    }
}
