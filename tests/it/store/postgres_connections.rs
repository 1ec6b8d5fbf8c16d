//! Connections to PostgreSQL: with and without TLS, over a Unix socket, and with several hosts.

use std::path::PathBuf;

use post_api::store::StoreError;
use post_api::store::postgres::{Address, connect};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::Cluster;

/// A server that requires passwords and, over TCP, TLS. Its certificate is for `localhost`.
struct TlsServer {
    cluster: Cluster,
    authority: PathBuf,
    other_authority: PathBuf,
}

const PASSWORD: &str = "p@ss word";

impl TlsServer {
    fn start() -> Self {
        let cluster = Cluster::start("password_encryption = 'scram-sha-256'\n");
        cluster.execute("postgres", &format!("CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'"));
        let (authority, issuer) = make_authority();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap();
        let (other_authority, _) = make_authority();
        let write = |name: &str, text: &str| {
            cluster.write(name, text);
            cluster.folder().join(name)
        };
        write("server.crt", &server.pem());
        write("server.key", &key.serialize_pem());
        let authority = write("authority.pem", &authority);
        let other_authority = write("other_authority.pem", &other_authority);
        cluster.configure(&format!(
            "ssl = on\nssl_cert_file = '{0}/server.crt'\nssl_key_file = '{0}/server.key'\n",
            cluster.folder().display()
        ));
        cluster.write(
            "data/pg_hba.conf",
            "local all tester trust\nlocal all ada scram-sha-256\n\
             host all tester 127.0.0.1/32 trust\n\
             hostssl all ada 127.0.0.1/32 scram-sha-256\n",
        );
        cluster.stop("fast");
        cluster.start_server();
        Self { cluster, authority, other_authority }
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let (port, authority) = (self.cluster.port(), self.authority.display());
        let parameters = parameters
            .replace("AUTHORITY", &authority.to_string())
            .replace("OTHER", &self.other_authority.display().to_string());
        format!("postgresql://ada:p%40ss%20word@{host}:{port}/postgres?{parameters}")
    }
}

fn make_authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, Issuer::new(params, key))
}

/// Returns whether the connection is encrypted, or why it failed.
async fn is_encrypted(url: &str) -> Result<bool, String> {
    let client = connect(&Address::parse(url).unwrap()).await.map_err(|error| match error {
        StoreError::Unavailable(cause) => {
            let deeper = cause.source().map(ToString::to_string).unwrap_or_default();
            format!("{cause}: {deeper}")
        }
        other => panic!("{other:?}"),
    })?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.unwrap().get(0))
}

#[tokio::test]
async fn certificates_are_verified_as_sslmode_requires() {
    let server = TlsServer::start();
    for (host, parameters, is_accepted) in [
        ("127.0.0.1", "", true),
        ("127.0.0.1", "sslmode=allow", true),
        ("127.0.0.1", "sslmode=prefer", true),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", "sslmode=require&channel_binding=require", true),
        ("127.0.0.1", "sslmode=disable", false),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=AUTHORITY", true),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=OTHER", false),
        ("127.0.0.1", "sslmode=require&sslrootcert=OTHER", false),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=AUTHORITY", false),
        ("localhost", "sslmode=verify-full&sslrootcert=AUTHORITY", true),
        ("localhost", "sslmode=verify-full&sslrootcert=OTHER", false),
        ("localhost", "sslmode=verify-full", false),
        ("localhost", "sslmode=verify-full&sslrootcert=/not/there", false),
    ] {
        let outcome = is_encrypted(&server.url(host, parameters)).await;
        assert_eq!(outcome.is_ok(), is_accepted, "{host} {parameters}: {outcome:?}");
        assert_ne!(outcome, Ok(false), "{host} {parameters}: not encrypted");
        let text = format!("{outcome:?}");
        assert!(!text.contains(PASSWORD) && !text.contains("p%40ss"), "{text}");
    }
    let wrong = server.url("127.0.0.1", "").replace("word", "ward");
    assert!(is_encrypted(&wrong).await.is_err());
}

#[tokio::test]
async fn unix_socket_is_accepted_as_host() {
    let server = TlsServer::start();
    let folder = server.cluster.folder().to_str().unwrap().replace('/', "%2F");
    let url = server.url(&folder, "");
    assert_eq!(is_encrypted(&url).await, Ok(false), "a Unix socket needs no TLS");
    let in_parameters = server.url("", &format!("host={folder}"));
    assert_eq!(is_encrypted(&in_parameters).await, Ok(false));
}

#[tokio::test]
async fn reachable_host_with_requested_role_is_chosen() {
    let primary = Cluster::start("wal_level = replica\n");
    let standby = primary.standby();
    // A port without a listener.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [closed, standby.port(), primary.port()].map(|port| format!("127.0.0.1:{port}"));
    let url = format!("postgresql://tester@{}/postgres", ports.join(","));
    for (url, expected) in [
        (url.clone(), false),
        (format!("{url}?target_session_attrs=read-write"), false),
        (format!("{url}?target_session_attrs=read-only"), true),
    ] {
        let client = connect(&Address::parse(&url).unwrap()).await.unwrap();
        let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), expected, "{url}");
    }
}

/// The server accepts the connection and never sends a byte.
#[tokio::test(start_paused = true)]
async fn silent_server_times_out() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgresql://ada@127.0.0.1:{port}/postgres");
    assert!(is_encrypted(&url).await.is_err());
}
