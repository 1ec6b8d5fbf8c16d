//! The rules for new passwords, at sign-up and when a password is changed. Existing passwords stay
//! valid.

use secrecy::SecretString;

use super::blocklist::is_common;
use super::password::MAX_PASSWORD_LENGTH;
use crate::domain::policy::PasswordRules;

/// Why a password is rejected. Lengths are in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRejected {
    #[error("the password is shorter than {min} characters")]
    TooShort { min: usize },
    #[error("the password is longer than {max} characters")]
    TooLong { max: usize },
    #[error("this password is too common")]
    TooCommon,
    #[error("this password contains a word that is easily guessed here")]
    ForbiddenWord,
}

/// Returns the password unchanged if the rules accept it.
///
/// # Errors
/// The first rule that the password breaks.
pub fn accept_password(
    password: &str,
    rules: &PasswordRules,
) -> Result<SecretString, PasswordRejected> {
    let length = password.chars().count();
    if length < rules.minimum_length {
        return Err(PasswordRejected::TooShort { min: rules.minimum_length });
    }
    if length > MAX_PASSWORD_LENGTH {
        return Err(PasswordRejected::TooLong { max: MAX_PASSWORD_LENGTH });
    }
    if rules.blocklist && is_common(password) {
        return Err(PasswordRejected::TooCommon);
    }
    if !rules.forbidden_words.is_empty() {
        let folded = fold_case(password);
        if rules.forbidden_words.iter().any(|word| folded.contains(&**word)) {
            return Err(PasswordRejected::ForbiddenWord);
        }
    }
    Ok(SecretString::from(password))
}

/// Folds the case of a text, for comparing it with forbidden words. Treats the Turkish i like i,
/// and ß like ss. Other combining characters stay unchanged.
#[must_use]
pub fn fold_case(text: &str) -> String {
    const DOT_ABOVE: char = '\u{307}';
    let folded = text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.filter(|character| *character != DOT_ABOVE).collect()
}
