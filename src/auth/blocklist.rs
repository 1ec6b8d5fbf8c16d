//! The blocklist of common passwords. A strength estimator would take a time that depends on the
//! password, which the client chooses; a list does not.

/// Whether the password, unchanged or in lower case, is among the 100,000 most common passwords in
/// the list of the `passwords` crate. OWASP ASVS 5.0 (6.2.4) requires at least 3,000.
pub(super) fn is_common(password: &str) -> bool {
    use passwords::analyzer::is_common_password;
    is_common_password(password) || is_common_password(password.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::is_common;

    #[test]
    fn common_passwords_are_rejected() {
        for password in ["password123", "PassWord123", "12345678", "qwertyuiop", "iloveyou1"] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn uncommon_passwords_are_accepted() {
        for password in ["jx7 qv-w", "plum lantern 83 quay", "päßwörter 密码", "anchor\0breadth"]
        {
            assert!(!is_common(password), "{password}");
        }
    }
}
