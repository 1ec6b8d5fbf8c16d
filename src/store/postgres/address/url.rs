//! The two ways to read a URL: libpq's for `postgresql://`, and `SQLAlchemy`'s for
//! `postgresql+driver://` and for the five settings of the reference service.

use percent_encoding::percent_decode_str;

use super::parameters::Parameters;
use super::{AddressError, Result, UrlParts};

/// The program that defines the meaning of a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Libpq,
    /// The name of the database is not decoded, and a plus sign in a parameter is a space.
    SqlAlchemy,
}

/// Returns the parameters that a URL gives.
///
/// # Errors
/// The first error in the URL.
pub(super) fn parse(url: &str) -> Result<Parameters> {
    let (scheme, rest) =
        url.split_once("://").ok_or_else(|| AddressError::new("it has no `://`"))?;
    let (name, driver) =
        scheme.split_once('+').map_or((scheme, None), |(name, driver)| (name, Some(driver)));
    if !["postgres", "postgresql"].contains(&name) {
        return Err(AddressError::new("it does not begin with `postgresql://`"));
    }
    let dialect = if driver.is_some() { Dialect::SqlAlchemy } else { Dialect::Libpq };
    let mut parameters = Parameters::default();
    let (credentials, rest) = split_credentials(rest);
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        parameters.set("user", decode("user", user)?, None)?;
        parameters.set("password", decode("password", password)?, None)?;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (hosts, rest) = rest.split_at(end);
    set_hosts(&mut parameters, hosts)?;
    let (database, query) = rest.split_once('?').unwrap_or((rest, ""));
    let database = database.strip_prefix('/').unwrap_or(database);
    let database = match dialect {
        Dialect::Libpq => decode("database", database)?,
        Dialect::SqlAlchemy => database.to_owned(),
    };
    parameters.set("dbname", database, None)?;
    set_query(&mut parameters, query, dialect, None)?;
    Ok(parameters)
}

/// Returns the parameters that the five settings give. A value that no URL could have at its place
/// is taken literally.
///
/// # Errors
/// If no host can have this name, or if the name of the database has invalid parameters.
pub(super) fn from_parts(parts: UrlParts<'_>) -> Result<Parameters> {
    const HOSTNAME: Option<&str> = Some("DATABASE_HOSTNAME");
    const NAME: Option<&str> = Some("DATABASE_NAME");
    let mut parameters = Parameters::default();
    let unless_it_has = |forbidden: &[char], text: &str| {
        let decoded = percent_decode_str(text).decode_utf8().ok();
        let decoded = decoded.filter(|_| !text.contains(forbidden));
        decoded.map_or_else(|| text.to_owned(), std::borrow::Cow::into_owned)
    };
    let user = unless_it_has(&[':', '/'], parts.username);
    parameters.set("user", user, Some("DATABASE_USERNAME"))?;
    // As in SQLAlchemy and libpq, an empty password in a URL is no password.
    let password = unless_it_has(&['@'], parts.password);
    parameters.set("password", password, Some("DATABASE_PASSWORD"))?;
    parameters.set("host", host_of_part(parts.hostname)?, HOSTNAME)?;
    parameters.set("port", parts.port.to_string(), Some("DATABASE_PORT"))?;
    let (name, query) = parts.name.split_once('?').unwrap_or((parts.name, ""));
    parameters.set("dbname", name.to_owned(), NAME)?;
    set_query(&mut parameters, query, Dialect::SqlAlchemy, NAME)?;
    Ok(parameters)
}

/// Returns the host that `DATABASE_HOSTNAME` names.
fn host_of_part(text: &str) -> Result<String> {
    let invalid = |problem: &str| Err(AddressError::of(Some("DATABASE_HOSTNAME"), problem));
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = inner.unwrap_or(text);
    if decoded.starts_with('/') {
        Ok(decoded.into_owned())
    } else if host.contains("://") || host.contains(['/', '?', '@', ' ', '[', ']']) {
        invalid("is no host name; URLs belong into DATABASE_URL")
    } else if inner.is_none() && host.split(',').any(|host| host.matches(':').count() == 1) {
        invalid("contains a port, which belongs into DATABASE_PORT")
    } else {
        Ok(host.to_owned())
    }
}

/// Splits `user:password@` off. libpq looks for the sign before the first slash. If the text is no
/// valid URL then, the password is one with a slash, as `SQLAlchemy` reads it.
fn split_credentials(rest: &str) -> (Option<&str>, &str) {
    let Some((credentials, after)) = rest.split_once('@') else { return (None, rest) };
    let Some((before_slash, _)) = credentials.split_once('/') else {
        return (Some(credentials), after);
    };
    let hosts = before_slash.split('?').next().unwrap_or_default();
    let last = hosts.rsplit(',').next().unwrap_or_default();
    let port = last.rsplit_once(':').map_or("", |(_, port)| port);
    if last.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()) {
        (None, rest)
    } else {
        (Some(credentials), after)
    }
}

/// Sets hosts and ports from `host:port,[host]:port`.
fn set_hosts(parameters: &mut Parameters, text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in text.split(',') {
        let (host, port) = match one.strip_prefix('[') {
            Some(rest) => {
                let unclosed = || AddressError::new("it has a `[` without `]`");
                let (host, rest) = rest.split_once(']').ok_or_else(unclosed)?;
                let after = || AddressError::new("it has no `:` between `]` and the port");
                let port = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
                (host, port.ok_or_else(after)?)
            }
            None => one.split_once(':').unwrap_or((one, "")),
        };
        hosts.push(decode("host", host)?);
        ports.push(port);
    }
    parameters.set("host", hosts.join(","), None)?;
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.set("port", ports.join(","), None)?;
    }
    Ok(())
}

/// Sets the parameters after the question mark.
fn set_query(
    parameters: &mut Parameters,
    query: &str,
    dialect: Dialect,
    origin: Option<&'static str>,
) -> Result<()> {
    let mut has_host = false;
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let Some((name, text)) = field.split_once('=') else {
            // SQLAlchemy passes over it.
            if dialect == Dialect::SqlAlchemy {
                continue;
            }
            return Err(AddressError::new("it has a parameter without `=`"));
        };
        let text = match dialect {
            Dialect::Libpq => text.to_owned(),
            Dialect::SqlAlchemy => text.replace('+', " "),
        };
        let (name, text) = (decode("parameter", name)?, decode("parameter", &text)?);
        if dialect == Dialect::SqlAlchemy && name == "host" {
            if has_host {
                let problem = "it has two parameters `host`; separate the hosts by commas";
                return Err(AddressError::of(origin, problem));
            }
            has_host = true;
        }
        match (name.as_str(), text.as_str()) {
            // JDBC's name, which libpq knows too.
            ("ssl", "true") => parameters.set("sslmode", "require".to_owned(), origin)?,
            // The name of the driver asyncpg.
            ("ssl", _) if dialect == Dialect::SqlAlchemy => {
                parameters.set("sslmode", text, origin)?;
            }
            _ => parameters.set(&name, text, origin)?,
        }
    }
    Ok(())
}

fn decode(part: &str, text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| AddressError::new(format!("its {part} is not UTF-8")))?;
    Ok(decoded.into_owned())
}
