//! Target for access tokens: the service accepts only an unexpired token of an account, signed with
//! the key and the configured algorithm.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use post_api::auth::{Algorithm, Tokens};
use post_api::clock::Clock as _;
use post_api::domain::user::UserId;
use secrecy::SecretString;
use serde_json::Value;

use crate::FuzzTarget;
use crate::support::{SECRET, TestClock, forge_text};

/// Builds a token. The first byte selects its kind: the text itself; header and claims, one per
/// line, with a valid signature; or the same with one byte changed.
fn token(data: &[u8]) -> Option<String> {
    let (kind, rest) = data.split_first()?;
    let signed = |text: &[u8]| {
        let (header, claims) = std::str::from_utf8(text).ok()?.split_once('\n')?;
        Some(forge_text(header, claims))
    };
    match kind % 3 {
        0 => std::str::from_utf8(rest).ok().map(str::to_owned),
        1 => signed(rest),
        _ => {
            let ([high, low, byte], text) = rest.split_first_chunk()?;
            let mut token = signed(text)?.into_bytes();
            let index = usize::from(u16::from_be_bytes([*high, *low])) % token.len();
            token[index] = *byte;
            String::from_utf8(token).ok()
        }
    }
}

pub(crate) fn prepare() -> FuzzTarget {
    let clock = TestClock::default();
    let now = clock.now().as_duration().as_secs_f64();
    let secret = SecretString::from(SECRET);
    let lifetime = Duration::from_mins(30);
    let tokens = Tokens::new(&secret, Algorithm::HS256, lifetime, Arc::new(clock)).unwrap();
    Box::new(move |data| {
        let Some(token) = token(data) else { return };
        if let Ok((user, _)) = tokens.verify(&token) {
            assert_may_be_accepted(&token, user, now);
        }
    })
}

/// Checks an accepted token with another parser, and that re-encoding and signing it gives the same
/// token.
fn assert_may_be_accepted(token: &str, user: UserId, now: f64) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, _] = parts[..] else { panic!("not three parts: {token}") };
    let decode = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (header, claims) = (decode(header), decode(claims));
    assert_eq!(forge_text(&header, &claims), token, "the signature is not from the key");
    let header: Value = serde_json::from_str(&header).unwrap();
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none_or(Value::is_null), "{header}");
    assert_eq!(claims["user_id"], Value::from(user.0));
    let expires = claims["exp"].as_f64().unwrap();
    assert!(claims["exp"].is_number() && expires > now, "{claims}");
    assert!(claims.get("aud").is_none(), "{claims}");
}
