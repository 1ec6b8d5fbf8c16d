//! The parameters of TLS, with libpq's meaning.

use std::path::{Path, PathBuf};

use rustls::SupportedProtocolVersion;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::Result;
use super::environment::in_user_folder;
use super::parameters::Parameters;

/// How a connection uses TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::postgres) struct Tls {
    pub(in crate::store::postgres) trust: Trust,
    /// The certificate that the client shows.
    pub(in crate::store::postgres) certificate: Option<Certificate>,
    pub(in crate::store::postgres) versions: Vec<&'static SupportedProtocolVersion>,
}

/// The certificates that are accepted from a server that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::postgres) enum Trust {
    /// Any certificate. Protects against an eavesdropper, but not against a man in the middle.
    AnyCertificate,
    /// Certificates of a trusted authority, for any host name.
    Authority(Roots),
    /// Certificates of a trusted authority, for the name of this host.
    Host(Roots),
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::postgres) enum Roots {
    /// The authorities that the operating system trusts.
    Native,
    /// The authorities in a PEM file.
    File(PathBuf),
}

/// The PEM files of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::postgres) struct Certificate {
    pub(in crate::store::postgres) chain: PathBuf,
    pub(in crate::store::postgres) key: PathBuf,
}

impl Tls {
    /// Also sets the mode of the connection.
    pub(super) fn new(
        config: &mut Config,
        parameters: &Parameters,
        home: Option<&Path>,
    ) -> Result<Self> {
        let (mode, trust) = trust(parameters, home)?;
        // As in libpq, a Unix socket has no TLS in any mode.
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        let has_addresses = !config.get_hostaddrs().is_empty();
        if !has_addresses && config.get_hosts().iter().all(is_local) {
            config.ssl_mode(SslMode::Disable);
        } else {
            config.ssl_mode(mode);
        }
        let certificate = certificate(parameters, home)?;
        Ok(Self { trust, certificate, versions: versions(parameters)? })
    }
}

fn trust(parameters: &Parameters, home: Option<&Path>) -> Result<(SslMode, Trust)> {
    let roots = match parameters.get("sslrootcert") {
        Some("system") => Roots::Native,
        Some(path) => Roots::File(PathBuf::from(path)),
        None => match in_user_folder(home, "root.crt").filter(|path| path.exists()) {
            Some(path) => Roots::File(path),
            None => Roots::Native,
        },
    };
    // The older form of `sslmode=require`.
    let is_required = parameters.get("requiressl").is_some_and(|text| text.starts_with('1'));
    let weakest = if is_required { "require" } else { "prefer" };
    Ok(match parameters.get("sslmode").unwrap_or(weakest) {
        "disable" => (SslMode::Disable, Trust::AnyCertificate),
        "allow" | "prefer" => (SslMode::Prefer, Trust::AnyCertificate),
        // As in libpq, `require` checks the authority if there is a file of authorities.
        "require" if matches!(roots, Roots::File(_)) => (SslMode::Require, Trust::Authority(roots)),
        "require" => (SslMode::Require, Trust::AnyCertificate),
        "verify-ca" => (SslMode::Require, Trust::Authority(roots)),
        "verify-full" => (SslMode::Require, Trust::Host(roots)),
        _ => {
            let problem = "is none of disable, allow, prefer, require, verify-ca, verify-full";
            return Err(parameters.invalid("sslmode", problem));
        }
    })
}

fn certificate(parameters: &Parameters, home: Option<&Path>) -> Result<Option<Certificate>> {
    match parameters.get("sslcertmode") {
        None | Some("allow") => {}
        Some("disable") => return Ok(None),
        Some(_) => {
            return Err(parameters.invalid("sslcertmode", "is supported only as allow or disable"));
        }
    }
    let in_home = |name| in_user_folder(home, name).filter(|path| path.exists());
    let given = parameters.get("sslcert").map(PathBuf::from);
    let Some(chain) = given.or_else(|| in_home("postgresql.crt")) else { return Ok(None) };
    let key = parameters.get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key"));
    let key = key.ok_or_else(|| parameters.invalid("sslcert", "is given without sslkey"))?;
    Ok(Some(Certificate { chain, key }))
}

/// Returns the versions between the least and the greatest one that the parameters allow. There
/// are only TLS 1.2 and 1.3.
fn versions(parameters: &Parameters) -> Result<Vec<&'static SupportedProtocolVersion>> {
    let version = |name, default| {
        let Some(text) = parameters.get(name) else { return Ok(default) };
        let known = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
        let at = known.iter().position(|known| known.eq_ignore_ascii_case(text));
        at.ok_or_else(|| parameters.invalid(name, "is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"))
    };
    let least = version("ssl_min_protocol_version", 0)?;
    let most = version("ssl_max_protocol_version", 3)?;
    let supported = [(2, &rustls::version::TLS12), (3, &rustls::version::TLS13)];
    let allowed = supported.into_iter().filter(|(at, _)| (least..=most).contains(at));
    let versions: Vec<_> = allowed.map(|(_, version)| version).collect();
    if versions.is_empty() {
        let problem = "leaves no version of TLS, of which 1.2 and 1.3 are supported";
        return Err(parameters.invalid("ssl_max_protocol_version", problem));
    }
    Ok(versions)
}
