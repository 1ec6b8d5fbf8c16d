//! E-mail addresses: which of them an account can have, and the form in which they are stored.
//!
//! A parsed [`Email`] is valid; no other code has to check it again. The rules are those of
//! internationalized mail (RFC 5321, RFC 5322, RFC 6531), narrowed to what a person types into a
//! form: no quoting, no address literals, no domain names without a period, no control or format
//! characters, which hide or reorder text. Letters and marks that are invisible in most fonts are
//! accepted, as by the reference service. Domain names follow IDNA 2008 (RFC 5890 to 5893) after the mapping of UTS 46.
//!
//! Local parts are case-sensitive, because only the receiving host may ignore case.
//!
//! Not here: DNS lookups, and the verification of mailboxes.

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
mod typed_email;

use std::fmt;

pub use invalid_email::InvalidEmail;
pub use typed_email::TypedEmail;

/// Maximum number of characters in an input. Longer input is rejected before it is parsed.
const MAX_INPUT_CHARACTERS: usize = 2048;

/// A valid e-mail address in its normal form.
///
/// The local part is in Normalization Form C and otherwise as given; the role mailboxes of RFC 2142
/// are in lower case. The domain is in lower case, in Unicode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an e-mail address as people write it: `ann@example.com`, with white space around it,
    /// or after a name, as in `Ann <ann@example.com>`. The name is dropped.
    ///
    /// # Errors
    /// The first broken rule: RFC 5321, RFC 5322 and RFC 6531 for the form, RFC 1035 for lengths,
    /// UTS 46 and RFC 5891 to 5893 for international domain names, RFC 6761 for reserved names.
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

    /// Returns the e-mail of an account as it is stored. The text is not checked: stricter rules
    /// must not make existing accounts unreadable, and in an adopted database it may be any text.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the normal form.
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
