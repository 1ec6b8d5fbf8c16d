//! Connections to PostgreSQL: with and without TLS, over a Unix socket, and with several hosts.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use post_api::store::StoreError;
use post_api::store::postgres::{Address, Environment, connect};
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
        cluster.execute("postgres", "CREATE ROLE bob LOGIN");
        let (authority, issuer) = make_authority();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap();
        let write = |name: &str, text: &str| {
            cluster.write(name, text);
            cluster.folder().join(name)
        };
        let (other_authority, other_issuer) = make_authority();
        for (name, issuer) in [("client", &issuer), ("stranger", &other_issuer)] {
            let key = KeyPair::generate().unwrap();
            let mut client = CertificateParams::new(Vec::new()).unwrap();
            client.distinguished_name.push(rcgen::DnType::CommonName, "bob");
            let client = client.signed_by(&key, issuer).unwrap();
            write(&format!("{name}.crt"), &client.pem());
            write(&format!("{name}.key"), &key.serialize_pem());
        }
        write("server.crt", &server.pem());
        write("server.key", &key.serialize_pem());
        let authority = write("authority.pem", &authority);
        let other_authority = write("other_authority.pem", &other_authority);
        cluster.configure(&format!(
            "ssl = on\nssl_cert_file = '{0}/server.crt'\nssl_key_file = '{0}/server.key'\n\
             ssl_ca_file = '{0}/authority.pem'\n",
            cluster.folder().display()
        ));
        cluster.write(
            "data/pg_hba.conf",
            "local all tester trust\nlocal all ada scram-sha-256\n\
             host all tester 127.0.0.1/32 trust\n\
             hostssl all ada 127.0.0.1/32 scram-sha-256\n\
             hostssl all bob 127.0.0.1/32 cert\n",
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
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=AUTHORITY&ssl_min_protocol_version=TLSv1.3",
            true,
        ),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=AUTHORITY&ssl_max_protocol_version=TLSv1.2",
            true,
        ),
        ("localhost", "sslmode=verify-full&sslrootcert=AUTHORITY&gssencmode=disable", true),
        ("no.example", "hostaddr=127.0.0.1&sslmode=verify-ca&sslrootcert=AUTHORITY", true),
        ("no.example", "hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=AUTHORITY", false),
        ("", "hostaddr=127.0.0.1", true),
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

/// The role `bob` logs in only with a certificate.
#[tokio::test]
async fn client_certificate_is_shown_to_the_server() {
    let server = TlsServer::start();
    let folder = server.cluster.folder().display().to_string();
    let files = |name: &str| format!("sslcert={folder}/{name}.crt&sslkey={folder}/{name}.key");
    let url = |parameters: &str| {
        let url = server.url("localhost", parameters);
        url.replace("ada:p%40ss%20word@", "bob@")
    };
    for (parameters, is_accepted) in [
        (files("client"), true),
        (files("client") + "&sslmode=verify-full&sslrootcert=AUTHORITY", true),
        (files("client") + "&sslcertmode=disable", false),
        (files("client") + "&sslmode=disable", false),
        (files("stranger"), false),
        (format!("sslcert={folder}/client.crt&sslkey={folder}/stranger.key"), false),
        (String::new(), false),
    ] {
        let outcome = is_encrypted(&url(&parameters)).await;
        assert_eq!(outcome.is_ok(), is_accepted, "{parameters}: {outcome:?}");
    }
    let mut environment = Environment::default();
    environment.set("PGSSLCERT", &format!("{folder}/client.crt"));
    environment.set("PGSSLKEY", &format!("{folder}/client.key"));
    connect(&Address::parse_in(&url(""), &environment).unwrap()).await.unwrap();

    // The files of libpq's folder are used without a parameter.
    let home = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(home.path().join(".postgresql")).unwrap();
    for name in ["crt", "key"] {
        let copy = home.path().join(format!(".postgresql/postgresql.{name}"));
        std::fs::copy(format!("{folder}/client.{name}"), copy).unwrap();
    }
    let mut environment = Environment::default();
    environment.set("HOME", home.path().to_str().unwrap());
    connect(&Address::parse_in(&url(""), &environment).unwrap()).await.unwrap();
}

/// As in libpq, only the owner may access a key, or a group if the owner is root.
#[tokio::test]
async fn client_key_that_others_can_access_is_refused() {
    let server = TlsServer::start();
    let folder = server.cluster.folder().display().to_string();
    let key = format!("{folder}/client.key");
    let parameters = format!("sslcert={folder}/client.crt&sslkey={key}");
    let address = Address::parse(&server.url("localhost", &parameters)).unwrap();
    address.check_files().unwrap();
    for mode in [0o640, 0o604, 0o644] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        let error = address.check_files().unwrap_err().to_string();
        assert!(error.contains("make its mode 0600"), "{mode:o}: {error}");
        assert!(connect(&address).await.is_err(), "{mode:o}");
    }
}

#[tokio::test]
async fn unix_socket_is_accepted_as_host() {
    let server = TlsServer::start();
    let folder = server.cluster.folder().to_str().unwrap().replace('/', "%2F");
    let url = server.url(&folder, "");
    assert_eq!(is_encrypted(&url).await, Ok(false), "a Unix socket needs no TLS");
    let required = server.url(&folder, "sslmode=verify-full&sslrootcert=AUTHORITY");
    assert_eq!(is_encrypted(&required).await, Ok(false), "in any mode");
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
