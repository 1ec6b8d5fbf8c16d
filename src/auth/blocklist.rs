//! Whether a password is one of those that everybody tries first.

/// A password that can be guessed in fewer tries than this is refused. The list of common
/// passwords that the `zxcvbn` crate carries is of this length, ordered by how common they are:
/// ten times what OWASP ASVS 5.0 (6.2.4) asks for.
const GUESSES: u64 = 30_000;

/// Longer passwords are in no list of common ones; estimating them costs time and tells nothing.
const LONGEST_COMMON: usize = 32;

/// Whether the password, case aside, is very common: on a list of leaked ones, a keyboard row,
/// a run of digits, a date.
#[must_use]
pub fn is_common(password: &str) -> bool {
    if password.chars().count() > LONGEST_COMMON {
        return false;
    }
    zxcvbn::zxcvbn(&password.to_lowercase(), &[]).guesses() < GUESSES
}

#[cfg(test)]
mod tests {
    use super::is_common;

    #[test]
    fn common_passwords_are_known() {
        for password in
            ["password123", "PassWord123", "12345678", "qwertyuiop", "iloveyou1", "aaaaaaaa"]
        {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn uncommon_passwords_pass() {
        for password in [
            "jx7 qv-w",
            "plum lantern 83 quay",
            "päßwörter 密码",
            "anchor\0breadth",
            "tr0ub4dor & 3",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }

    #[test]
    fn length_is_no_burden() {
        assert!(!is_common(&"a".repeat(4096)));
    }
}
