//! The parameters of a connection, with libpq's names: which ones the service uses, which ones
//! change nothing for it, and which ones it refuses.

use std::collections::BTreeMap;

use super::{AddressError, Result};

/// The values that a connection gets, by the names of their parameters. An empty value counts as
/// missing.
#[derive(Default)]
pub(super) struct Parameters(BTreeMap<&'static str, Value>);

struct Value {
    text: String,
    /// The setting or the variable; `None` for the URL.
    origin: Option<&'static str>,
}

/// A parameter of libpq.
pub(super) struct Parameter {
    name: &'static str,
    /// The environment variable that replaces a missing value.
    pub(super) variable: Option<&'static str>,
    effect: Effect,
}

/// The effect of a parameter.
enum Effect {
    Used,
    /// Nothing: it concerns a feature that the driver does not have.
    Ignored,
    /// Nothing, if it has one of these values. Another value would make the connection safer or
    /// different, so it is refused.
    Only(&'static [&'static str]),
}

use Effect::{Ignored, Only, Used};

macro_rules! parameters {
    ($($name:literal $($variable:ident)? => $effect:expr;)+) => {
        /// All parameters of libpq 18, in the order of its documentation.
        pub(super) static PARAMETERS: &[Parameter] = &[$(Parameter {
            name: $name,
            variable: parameters!(@variable $($variable)?),
            effect: $effect,
        }),+];
    };
    (@variable $variable:ident) => { Some(stringify!($variable)) };
    (@variable) => { None };
}

parameters! {
    "host" PGHOST => Used;
    "hostaddr" PGHOSTADDR => Used;
    "port" PGPORT => Used;
    "dbname" PGDATABASE => Used;
    "user" PGUSER => Used;
    "password" PGPASSWORD => Used;
    "passfile" PGPASSFILE => Used;
    "require_auth" PGREQUIREAUTH => Only(&[]);
    "channel_binding" PGCHANNELBINDING => Used;
    "connect_timeout" PGCONNECT_TIMEOUT => Used;
    "client_encoding" PGCLIENTENCODING => Only(&["utf8", "utf-8", "unicode", "auto"]);
    "options" PGOPTIONS => Used;
    "application_name" PGAPPNAME => Used;
    "fallback_application_name" => Used;
    "keepalives" => Used;
    "keepalives_idle" => Used;
    "keepalives_interval" => Used;
    "keepalives_count" => Used;
    "tcp_user_timeout" => Used;
    "replication" => Only(&["false", "off", "no", "0"]);
    "gssencmode" PGGSSENCMODE => Only(&["disable", "prefer"]);
    "sslmode" PGSSLMODE => Used;
    "requiressl" PGREQUIRESSL => Used;
    "sslnegotiation" PGSSLNEGOTIATION => Only(&["postgres"]);
    "sslcompression" PGSSLCOMPRESSION => Ignored;
    "sslcert" PGSSLCERT => Used;
    "sslkey" PGSSLKEY => Used;
    "sslkeylogfile" => Only(&[]);
    "sslpassword" => Only(&[]);
    "sslcertmode" PGSSLCERTMODE => Used;
    "sslrootcert" PGSSLROOTCERT => Used;
    "sslcrl" PGSSLCRL => Only(&[]);
    "sslcrldir" PGSSLCRLDIR => Only(&[]);
    "sslsni" PGSSLSNI => Only(&["1"]);
    "requirepeer" PGREQUIREPEER => Only(&[]);
    "ssl_min_protocol_version" PGSSLMINPROTOCOLVERSION => Used;
    "ssl_max_protocol_version" PGSSLMAXPROTOCOLVERSION => Used;
    "min_protocol_version" PGMINPROTOCOLVERSION => Only(&["3.0"]);
    "max_protocol_version" PGMAXPROTOCOLVERSION => Only(&["3.0", "3.2", "latest"]);
    "krbsrvname" PGKRBSRVNAME => Ignored;
    "gsslib" PGGSSLIB => Ignored;
    "gssdelegation" PGGSSDELEGATION => Ignored;
    "service" PGSERVICE => Only(&[]);
    // Without a service, its file is not read.
    "servicefile" PGSERVICEFILE => Ignored;
    "target_session_attrs" PGTARGETSESSIONATTRS => Used;
    "load_balance_hosts" PGLOADBALANCEHOSTS => Used;
}

impl Parameters {
    /// Sets the value of a parameter. A later value replaces an earlier one, as in libpq.
    ///
    /// # Errors
    /// If libpq has no such parameter.
    pub(super) fn set(
        &mut self,
        name: &str,
        text: String,
        origin: Option<&'static str>,
    ) -> Result<()> {
        let unknown = || {
            // Other characters may be those of a password.
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let shown = if name.bytes().all(is_word) { name } else { "***" };
            AddressError::of(origin, format!("its parameter `{shown}` is not one of libpq's"))
        };
        let parameter = PARAMETERS.iter().find(|known| known.name == name).ok_or_else(unknown)?;
        // libpq's older form of `sslmode`.
        if parameter.name == "requiressl" {
            let mode = if text.starts_with('1') { "require" } else { "prefer" };
            return self.set("sslmode", mode.to_owned(), origin);
        }
        if text.contains('\0') {
            return Err(AddressError::of(origin, format!("its {name} has a zero byte")));
        }
        self.0.insert(parameter.name, Value { text, origin });
        Ok(())
    }

    /// Returns the value, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Returns the setting or the variable that the value is from.
    pub(super) fn origin(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).and_then(|value| value.origin)
    }

    /// Returns the error of an invalid value.
    pub(super) fn invalid(&self, name: &str, problem: &str) -> AddressError {
        AddressError::of(self.origin(name), format!("{name} {problem}"))
    }

    /// Returns the number that a parameter has.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>> {
        let parse =
            |text: &str| text.trim().parse().map_err(|_| self.invalid(name, "is no whole number"));
        self.get(name).map(parse).transpose()
    }

    /// Checks that no value asks for something that the service cannot do.
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        for parameter in PARAMETERS {
            let Some(text) = self.get(parameter.name) else { continue };
            // In place of the bytes of a variable that are no text.
            if text.contains('\u{FFFD}') {
                faults.extend(self.invalid(parameter.name, "is not Unicode").0);
            } else if let Some(reason) = parameter.refusal(text) {
                faults.extend(self.invalid(parameter.name, &reason).0);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(AddressError(faults)) }
    }

    /// Sets the parameters that have no value from the variables.
    pub(super) fn complete<'a>(&mut self, find: impl Fn(&str) -> Option<&'a str>) {
        for parameter in PARAMETERS {
            let Some(variable) = parameter.variable else { continue };
            if self.get(parameter.name).is_none()
                && let Some(text) = find(variable)
            {
                let value = Value { text: text.to_owned(), origin: Some(variable) };
                self.0.insert(parameter.name, value);
            }
        }
    }
}

impl Parameter {
    /// Returns why the service refuses this value; `None` if it uses or may ignore the value.
    fn refusal(&self, text: &str) -> Option<String> {
        match self.effect {
            Used | Ignored => None,
            Only(values) if values.iter().any(|value| value.eq_ignore_ascii_case(text)) => None,
            Only([]) => Some("is not supported".to_owned()),
            Only(values) => Some(format!("is supported only as {}", values.join(" or "))),
        }
    }
}
