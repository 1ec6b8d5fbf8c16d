//! The names and the dates of the listener's certificate.
//! Not here: whether the key belongs to it, see `tls.rs`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::file_access;

/// The names and the dates of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// DNS names and IP addresses; none if it has only a common name, which browsers ignore.
    pub names: Vec<String>,
    pub valid_from: Timestamp,
    pub valid_until: Timestamp,
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// If the file cannot be read, or has no certificate.
pub fn read_certificate(path: &Path) -> io::Result<Certificate> {
    let pem = file_access::read(path)?;
    let der = CertificateDer::from_pem_slice(&pem).map_err(io::Error::other)?;
    parse(&der).map_err(io::Error::other)
}

fn parse(der: &[u8]) -> x509_cert::der::Result<Certificate> {
    let certificate = x509_cert::Certificate::from_der(der)?.tbs_certificate;
    let names = certificate.get::<SubjectAltName>()?.map_or_else(Vec::new, |(_, names)| names.0);
    Ok(Certificate {
        names: names.iter().filter_map(name).collect(),
        valid_from: time(&certificate.validity.not_before),
        valid_until: time(&certificate.validity.not_after),
    })
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => match *bytes.as_bytes() {
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).to_string()),
            ref bytes => <[u8; 16]>::try_from(bytes).ok().map(|ip| Ipv6Addr::from(ip).to_string()),
        },
        _ => None,
    }
}

/// A certificate may be valid for longer than a time can express.
fn time(time: &Time) -> Timestamp {
    let since_epoch = SignedDuration::try_from(time.to_unix_duration());
    let time = since_epoch.ok().and_then(|since| Timestamp::from_duration(since).ok());
    time.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dates_are_those_of_the_certificate() {
        let mut params = rcgen::CertificateParams::new([
            "posts.example.org".to_owned(),
            "192.0.2.1".to_owned(),
            "2001:db8::1".to_owned(),
        ])
        .unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2027, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parse(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(certificate.names, ["posts.example.org", "192.0.2.1", "2001:db8::1"]);
        assert_eq!(certificate.valid_from, "2026-01-02T00:00:00Z".parse().unwrap());
        assert_eq!(certificate.valid_until, "2027-03-04T00:00:00Z".parse().unwrap());
    }
}
