//! Settings of rate limits and of trusted proxies.

use std::time::Duration;

use post_api::config::SETTINGS;
use post_api::rate_limits::{MailRates, Rate, RateLimitConfig};
use post_api::server::TrustedProxies;

use super::settings::{errors, load};

#[test]
fn defaults_trust_no_proxy_and_limit_everything() {
    let settings = load(&[]);
    assert_eq!(settings.trusted_proxies, TrustedProxies::default());
    assert_eq!(settings.rate_limits, Some(RateLimitConfig::default()));
}

#[test]
fn trusted_proxies_accept_ips_and_networks() {
    for text in ["10.0.0.1", "::1, 10.0.0.0/8,fd00::/8"] {
        let proxies = load(&[("TRUSTED_PROXIES", text)]).trusted_proxies;
        assert_eq!(proxies, TrustedProxies::parse(text).unwrap());
        assert_ne!(proxies, TrustedProxies::default());
    }
}

#[test]
fn rate_is_parsed_as_count_and_period() {
    for (text, count, seconds) in [
        ("20/5m", 20, 300),
        ("1/1s", 1, 1),
        ("300/2h", 300, 7200),
        ("1000000/86400s", 1_000_000, 86_400),
    ] {
        let rates = load(&[("RATE_LIMIT_SIGN_UP", text)]).rate_limits.unwrap();
        assert_eq!(rates.sign_up, Some(Rate::new(count, Duration::from_secs(seconds))), "{text}");
    }
}

type Change = fn(&mut RateLimitConfig, Option<Rate>);

#[test]
fn each_limit_has_its_own_setting() {
    let changes: [(&str, Change); 6] = [
        ("RATE_LIMIT_LOGIN_IP", |rates, rate| rates.login_ip = rate),
        ("RATE_LIMIT_LOGIN_ACCOUNT", |rates, rate| rates.login_account = rate),
        ("RATE_LIMIT_LOGIN_LOCKED", |rates, rate| rates.login_locked = rate),
        ("RATE_LIMIT_SIGN_UP", |rates, rate| rates.sign_up = rate),
        ("RATE_LIMIT_WRITES", |rates, rate| rates.writes = rate),
        ("RATE_LIMIT_EXPORTS", |rates, rate| rates.exports = rate),
    ];
    let documented = SETTINGS.iter().filter(|setting| setting.name.starts_with("RATE_LIMIT_"));
    // The other two are those of mails.
    assert_eq!(documented.count(), changes.len() + 2);
    for (name, change) in changes {
        for (value, rate) in [("7/11s", Some(Rate::new(7, Duration::from_secs(11)))), ("off", None)]
        {
            let mut expected = RateLimitConfig::default();
            change(&mut expected, rate);
            assert_eq!(load(&[(name, value)]).rate_limits, Some(expected), "{name}={value}");
        }
    }
    let expected = RateLimitConfig { login_lockout_threshold: 7, ..RateLimitConfig::default() };
    assert_eq!(load(&[("LOGIN_LOCKOUT_THRESHOLD", "7")]).rate_limits, Some(expected));
}

#[test]
fn mails_are_limited_also_with_limits_off() {
    for switch in ["on", "off"] {
        let with = |name, value| load(&[("RATE_LIMITS", switch), (name, value)]).mail_rates;
        let default = MailRates::default();
        assert_eq!(load(&[("RATE_LIMITS", switch)]).mail_rates, default);
        let rate = Some(Rate::new(7, Duration::from_secs(11)));
        for (value, rate) in [("7/11s", rate), ("off", None)] {
            let expected = MailRates { client: rate, ..default };
            assert_eq!(with("RATE_LIMIT_MAIL_IP", value), expected);
            let expected = MailRates { account: rate, ..default };
            assert_eq!(with("RATE_LIMIT_MAIL_ACCOUNT", value), expected);
        }
    }
}

#[test]
fn limit_settings_are_validated_with_limits_off() {
    assert_eq!(load(&[("RATE_LIMITS", "off")]).rate_limits, None);
    let errors = errors(&[("RATE_LIMITS", "off"), ("RATE_LIMIT_WRITES", "many")]);
    assert_eq!(errors[0].name, "RATE_LIMIT_WRITES");
}

#[test]
fn documented_limits_are_the_defaults() {
    let written: Vec<(&str, &str)> = SETTINGS
        .iter()
        .filter(|setting| setting.name.contains("LIMIT_") || setting.name.starts_with("LOGIN_"))
        .map(|setting| (setting.name, setting.default))
        .collect();
    assert_eq!(load(&written).rate_limits, Some(RateLimitConfig::default()));
    assert_eq!(load(&written).mail_rates, MailRates::default());
}
