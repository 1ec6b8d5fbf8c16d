//! Whether a password is one of those that everybody tries first.
//!
//! A list is looked up, nothing is estimated: an estimator's time depends on the password, and a
//! stranger chooses it.

/// Whether the password, as it is or in lower case, is among the 100,000 most common ones of the
/// list that the `passwords` crate carries; OWASP ASVS 5.0 (6.2.4) asks for the first 3,000.
pub(super) fn is_common(password: &str) -> bool {
    use passwords::analyzer::is_common_password;
    is_common_password(password) || is_common_password(password.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::is_common;

    #[test]
    fn common_passwords_are_known() {
        for password in ["password123", "PassWord123", "12345678", "qwertyuiop", "iloveyou1"] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn uncommon_passwords_pass() {
        for password in ["jx7 qv-w", "plum lantern 83 quay", "päßwörter 密码", "anchor\0breadth"]
        {
            assert!(!is_common(password), "{password}");
        }
    }
}
