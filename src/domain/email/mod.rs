//! E-mail addresses: what a client may register with, and the one form in which it is stored.
//!
//! An [`Email`] that exists has been checked; nothing further down has to look at it again. The
//! rules are those of internationalised mail (RFC 5321, RFC 5322, RFC 6531) narrowed to what a
//! person can type into a form: no quoting, no address literals, no names without a period, no
//! characters that hide or reorder text. Domain names follow IDNA 2008 (RFC 5890 to 5893) after
//! the mapping of UTS 46.
//!
//! Deliberately not here: any look-up in the DNS, any proof that somebody reads the mailbox, and
//! the comparison of local parts without regard to case, which only the receiving host may do.

mod address_literal;
mod characters;
mod domain_name;
mod invalid_email;
mod label;
mod length;
mod listing;
mod local_part;
mod named_form;
mod split;

use std::fmt;

pub use invalid_email::InvalidEmail;

/// The longest input that is looked at, in characters; everything after it would be refused for
/// its length anyway.
const MAX_INPUT_CHARACTERS: usize = 2048;

/// A valid e-mail address in its normal form.
///
/// The local part is composed (NFC) and otherwise as given, save for the role mailboxes of
/// RFC 2142, which are lower case; the domain is in lower case Unicode form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address as people write it: `ann@example.com`, with white space around it, or
    /// with a name before it as in `Ann <ann@example.com>`. Only the address is kept.
    ///
    /// # Errors
    ///
    /// An [`InvalidEmail`] with the first reason found against the address, by RFC 5321, RFC 5322
    /// and RFC 6531 for its form, RFC 1035 for lengths, UTS 46 and RFC 5891 to 5893 for
    /// international domain names, RFC 6761 for reserved ones.
    pub fn parse(input: &str) -> Result<Self, InvalidEmail> {
        if input.chars().count() > MAX_INPUT_CHARACTERS {
            return Err("Length must not exceed 2048 characters".into());
        }
        let parts = split::split(named_form::address_in(input))?;
        let local = local_part::normalize(&parts.local, parts.quoted)?;
        if parts.domain.is_empty() {
            return Err("There must be something after the @-sign.".into());
        }
        if let Some(literal) = address_literal::literal_in(parts.domain) {
            return Err(address_literal::rejection(literal));
        }
        let domain = domain_name::normalize(parts.domain)?;

        let normal = format!("{local}@{}", domain.unicode);
        length::check(&length::Forms {
            given: &parts.as_given(),
            normal: &normal,
            on_the_wire: &format!("{local}@{}", domain.ascii),
        })?;
        if parts.in_brackets {
            return Err("A display name and angle brackets around the email address are not permitted here.".into());
        }
        Ok(Self(normal))
    }

    /// Takes back an address that was stored earlier.
    ///
    /// The text is trusted, not checked: it must have come from [`Email::as_str`]. Checking it
    /// again would make accounts unreadable whenever the rules are refined.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
