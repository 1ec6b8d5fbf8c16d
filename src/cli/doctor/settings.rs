//! The checks of the settings themselves.

use std::net::{IpAddr, ToSocketAddrs as _};

use crate::config::{Database, SettingError, Settings, Source};
use crate::file_access::Exposure;
use crate::key_store::{KEYS_FILE, KeyStore, KeyStoreError};
use crate::server::AllowedOrigins;
use crate::store::inspection::Finding;

/// Settings whose warnings are about the strength of keys.
const KEYS: [&str; 3] = ["SECRET_KEY", "SECRET_KEYS", "SIGNING_KEYS"];

/// Settings whose warnings are about TLS to the database.
const DATABASE: [&str; 2] = ["DATABASE_URL", "DATABASE_HOSTNAME"];

/// Whether a warning is about the access to a file with secrets.
pub(super) fn is_about_access(warning: &SettingError) -> bool {
    let name = warning.name.as_str();
    name == "--env-file" || name == "TLS_KEY" || name.ends_with("_FILE")
}

/// Returns a failure with every fault.
pub(super) fn describe_faults(faults: &[SettingError]) -> Finding {
    Finding::fail(details(faults), cures(faults))
}

/// Returns a warning with every warning, or `None` if there are none.
pub(super) fn describe_warnings(warnings: &[SettingError]) -> Option<Finding> {
    (!warnings.is_empty()).then(|| Finding::warn(details(warnings), cures(warnings)))
}

fn details(errors: &[SettingError]) -> String {
    let details = errors.iter().map(|error| format!("{}: {}", error.name, error.problem));
    details.collect::<Vec<_>>().join("; ")
}

fn cures(errors: &[SettingError]) -> String {
    let cures = errors.iter().map(|error| format!("{}: {}", error.name, error.hint));
    cures.collect::<Vec<_>>().join("; ")
}

fn warnings_if(
    settings: &Settings,
    is_chosen: impl Fn(&SettingError) -> bool,
) -> Vec<SettingError> {
    settings.warnings.iter().filter(|warning| is_chosen(warning)).cloned().collect()
}

/// Reports every warning for which there is no other check, and what the service skips in `.env`.
pub(super) fn check_settings(settings: &Settings, source: &Source) -> Finding {
    const ENV_FILE: &str = "the env file";
    let mut warnings = warnings_if(settings, |warning| {
        let name = warning.name.as_str();
        !is_about_access(warning) && !KEYS.contains(&name) && !DATABASE.contains(&name)
    });
    warnings.extend(source.password_on_command_line());
    for line in &source.unreadable_lines {
        let problem = format!("line {line} cannot be parsed, and is skipped");
        warnings.push(SettingError::new(ENV_FILE, problem, "correct it"));
    }
    for line in &source.unknown_lines {
        let problem = format!("line {line} sets an unknown name");
        warnings.push(SettingError::new(ENV_FILE, problem, "remove it, or correct the name"));
    }
    for (name, meant) in source.misspelt_variables() {
        let hint = format!("did you mean {meant}?");
        warnings.push(SettingError::new(name, "is no setting", hint));
    }
    describe_warnings(&warnings).unwrap_or_else(|| Finding::ok("every setting can be used"))
}

/// Checks that there is a key to sign with, and that it is strong enough.
pub(super) fn check_secret(settings: &Settings) -> Finding {
    if let Err(missing) = settings.check_for_serving() {
        return describe_faults(&missing);
    }
    let is_about_keys = |warning: &SettingError| KEYS.contains(&warning.name.as_str());
    if let Some(weak) = describe_warnings(&warnings_if(settings, is_about_keys)) {
        return weak;
    }
    if settings.has_secret() || !settings.algorithm.is_symmetric() {
        return Finding::ok("the settings have a strong key");
    }
    let path = settings.data_dir.join(KEYS_FILE);
    let path = path.display();
    match KeyStore::new(&settings.data_dir, settings.algorithm).check() {
        Ok(None) if settings.data_dir.join(KEYS_FILE).is_symlink() => {
            let detail = format!("{path} is a link to a file that does not exist");
            Finding::fail(detail, "remove the link, or create the file that it names")
        }
        Ok(None) => Finding::ok(format!("the next start generates a secret in {path}")),
        Ok(Some(exposure @ (Exposure::Group | Exposure::AnotherUser(_)))) => {
            let hint = "make its mode 0600, and its owner the user of the service";
            Finding::warn(format!("{path}: {exposure}"), hint)
        }
        Ok(Some(_)) => Finding::ok(format!("the secret in {path} is strong")),
        Err(KeyStoreError::File { path, problem, hint }) => {
            Finding::fail(format!("{} {problem}", path.display()), hint)
        }
        Err(error) => Finding::fail(error.to_string(), ""),
    }
}

/// Returns the IP addresses to listen on; none if the name of the host is unknown.
fn addresses(settings: &Settings) -> Vec<IpAddr> {
    let found = (settings.host.as_str(), settings.port).to_socket_addrs();
    found.map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect())
}

fn is_public(address: &IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

/// Checks that other machines connect over TLS, or through a proxy that is known.
pub(super) fn check_proxies(settings: &Settings) -> Finding {
    let addresses = addresses(settings);
    if addresses.is_empty() {
        return Finding::skipped("HOST has no IP address");
    }
    let plaintext = addresses.iter().find_map(|address| settings.plaintext_listener(*address));
    if let Some(SettingError { name, problem, hint }) = plaintext {
        return Finding::warn(format!("{name}: {problem}"), hint);
    }
    Finding::ok(if !addresses.iter().any(is_public) {
        "only this machine can connect"
    } else if settings.tls.is_some() {
        "other machines connect over TLS"
    } else {
        "a trusted proxy on another machine connects"
    })
}

/// Checks that only listed origins may read responses if other machines can connect.
pub(super) fn check_cors(settings: &Settings) -> Finding {
    const CURE: &str = "list the origins of your own pages in CORS_ORIGINS";
    let is_any = settings.cors_origins == AllowedOrigins::Any;
    if is_any && addresses(settings).iter().any(is_public) {
        let detail = "CORS_ORIGINS is *: the pages of every site may read responses in a browser";
        return Finding::warn(detail, CURE);
    }
    Finding::ok(if is_any {
        "CORS_ORIGINS is *, and only this machine can connect"
    } else {
        "only listed origins may read responses"
    })
}

/// Checks that a connection to PostgreSQL on another machine cannot be without TLS.
pub(super) fn check_database_tls(settings: &Settings) -> Finding {
    let is_about_tls = |warning: &SettingError| DATABASE.contains(&warning.name.as_str());
    let warnings = warnings_if(settings, is_about_tls);
    match (describe_warnings(&warnings), &settings.database) {
        (Some(finding), _) => finding,
        (None, Database::Sqlite(_)) => Finding::ok("the embedded database needs no connection"),
        (None, Database::Postgres(_)) => {
            Finding::ok("the connection is local, or sslmode requires TLS")
        }
    }
}
