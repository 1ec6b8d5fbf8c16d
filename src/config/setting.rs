//! The definition of one setting.

use std::ops::RangeInclusive;

/// The name, the default, the range and the documentation of one setting.
#[derive(Debug, Clone)]
pub struct Setting {
    pub name: &'static str,
    /// Empty if there is no default.
    pub default: &'static str,
    /// The default with `COMPAT=reference`, if it differs.
    pub reference: Option<&'static str>,
    /// The allowed values of an integer setting.
    pub range: Option<RangeInclusive<u64>>,
    /// The documentation: the effect of the setting, and when to change it.
    pub about: &'static str,
    /// Whether the value is never shown. A secret may also come from the file that `NAME_FILE` names.
    pub is_secret: bool,
}

impl Setting {
    /// Returns the value that applies if the setting is not given.
    pub(super) fn default_for(&self, is_reference: bool) -> &'static str {
        self.reference.filter(|_| is_reference).unwrap_or(self.default)
    }

    pub(super) const fn with_reference(mut self, default: &'static str) -> Self {
        self.reference = Some(default);
        self
    }
}

pub(super) const fn text(
    name: &'static str,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting { name, default, reference: None, range: None, about, is_secret: false }
}

pub(super) const fn int(
    name: &'static str,
    default: &'static str,
    range: RangeInclusive<u64>,
    about: &'static str,
) -> Setting {
    Setting { range: Some(range), ..text(name, default, about) }
}

pub(super) const fn secret(name: &'static str, about: &'static str) -> Setting {
    Setting { is_secret: true, ..text(name, "", about) }
}
