//! Target for stored password hashes, which may be forged or damaged: a password matches only if
//! the hash library's own parser accepts it too.

use std::num::NonZeroUsize;

use argon2::{Argon2, PasswordVerifier as _};
use post_api::auth::{PasswordCheck, Passwords};
use post_api::domain::user::PasswordHash;
use secrecy::SecretString;

use crate::FuzzTarget;
use crate::support::CHEAP;

/// The first line is the stored hash, the rest is the password.
pub(crate) fn prepare() -> FuzzTarget {
    let passwords = Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Box::new(move |data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Some((stored, password)) = text.split_once('\n') else { return };
        if is_expensive(stored) {
            return;
        }
        let hash = PasswordHash::new(stored.to_owned());
        match runtime.block_on(passwords.verify(SecretString::from(password), Some(hash))).unwrap()
        {
            PasswordCheck::Mismatch => {}
            PasswordCheck::Match => assert_matches(password, stored),
            PasswordCheck::NeedsRehash(better) => {
                assert_matches(password, stored);
                assert_matches(password, better.as_str());
            }
        }
    })
}

fn assert_matches(password: &str, stored: &str) {
    if !stored.starts_with("$argon2") {
        assert!(bcrypt::verify(password, stored).unwrap(), "{stored}");
        return;
    }
    let hash = argon2::PasswordHash::new(stored).expect(stored);
    assert!(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(), "{stored}");
}

/// Returns whether the hash costs more than 99 KiB, passes or lanes, or more than 2^5 rounds of
/// bcrypt. An expensive hash would take the time of other inputs. Other tests check the bounds of
/// the cost.
fn is_expensive(stored: &str) -> bool {
    let parameters = stored.split('$').filter(|part| part.contains('='));
    let mut numbers =
        parameters.flat_map(|part| part.split(|letter: char| !letter.is_ascii_digit()));
    let rounds = stored.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
    numbers.any(|number| number.len() > 2)
        || (stored.starts_with("$2") && rounds.is_some_and(|rounds| rounds > 5))
}
