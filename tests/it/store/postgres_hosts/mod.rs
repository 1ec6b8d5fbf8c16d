//! Several hosts in one address, standbys, and servers that hang: who is asked, and for how long.

mod confirmed;
mod fence;
mod lost_answers;
mod switchover;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures_util::future::join_all;
use post_api::store::postgres::{Address, PoolLimits, PostgresStore, connect, is_refused};
use post_api::store::{Readiness, ReadinessStore as _, StoreError};
use tokio::net::{TcpSocket, TcpStream};

use super::fresh_store::{FreshStore, new_user};
use crate::support::{Cluster, PostgresDatabase};

/// Returns the URL of the database with these servers instead of its own. `live` is its own.
fn with_hosts(database: &PostgresDatabase<'_>, port: u16, hosts: &[SocketAddr]) -> String {
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    database.url().replace(&format!("127.0.0.1:{port}"), &names.join(","))
}

/// A port that drops the packets of new connections.
struct DroppingHost {
    address: SocketAddr,
    _listener: tokio::net::TcpListener,
    _waiting: Vec<TcpStream>,
}

impl DroppingHost {
    /// Fills the queue of a listener that accepts nothing.
    async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let connect = || tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address));
        while let Ok(connected) = connect().await {
            waiting.push(connected.unwrap());
        }
        Self { address, _listener: listener, _waiting: waiting }
    }
}

#[tokio::test]
async fn host_that_hangs_at_any_place_delays_no_connection() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let live: SocketAddr = ([127, 0, 0, 1], cluster.port()).into();
    // The kernel accepts connections to it, and no program answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap();
    let dropping = DroppingHost::start().await;
    for hosts in [
        vec![silent_address, live],
        vec![live, silent_address],
        vec![silent_address, silent_address, live],
        vec![dropping.address, dropping.address, live],
        vec![live, dropping.address],
        vec![dropping.address, silent_address, live, silent_address],
    ] {
        let url = with_hosts(&database, cluster.port(), &hosts);
        let address = Address::parse(&url).unwrap();
        connect(&address).await.unwrap();
        let store = PostgresStore::open(&address).unwrap();
        assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready, "{url}");
    }
}

#[tokio::test]
async fn every_host_is_named_if_none_fits() {
    let primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    let standby = primary.standby();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let database = primary.existing_database(&name);
    let hosts = [closed, ([127, 0, 0, 1], standby.port()).into()];
    let url = with_hosts(&database, primary.port(), &hosts);
    let error = connect(&Address::parse(&url).unwrap()).await.map(drop).unwrap_err();
    assert!(!is_refused(&error), "{error:?}");
    let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
    let text = cause.to_string();
    assert!(text.contains(&format!("{closed}: ")), "{text}");
    assert!(text.contains("database does not allow writes"), "{text}");
}

#[tokio::test]
async fn standby_behind_a_url_with_one_host_is_refused_with_its_cure() {
    let primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    let standby = primary.standby();
    let url = standby.url(&name);
    for parameters in ["", "?target_session_attrs=primary", "?target_session_attrs=read-write"] {
        let address = Address::parse(&format!("{url}{parameters}")).unwrap();
        let error = connect(&address).await.map(drop).unwrap_err();
        assert!(!is_refused(&error), "a standby can become the primary: {error:?}");
        let store = FreshStore::shared(std::sync::Arc::new(PostgresStore::open(&address).unwrap()));
        let read = store.find_user(post_api::domain::user::UserId(1)).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{parameters}: {read:?}");
        let ready = store.check_ready().await;
        assert!(matches!(ready, Err(StoreError::Unavailable(_))), "{parameters}: {ready:?}");
    }
    let address = Address::parse(&url).unwrap();
    let StoreError::Unavailable(cause) = connect(&address).await.map(drop).unwrap_err() else {
        panic!("another error")
    };
    let expected = "the server is a standby; name the primary, or all hosts, in DATABASE_URL";
    assert!(cause.to_string().starts_with(expected), "{cause}");

    // An operator can ask for any server.
    let any = Address::parse(&format!("{url}?target_session_attrs=any")).unwrap();
    let store = PostgresStore::open(&any).unwrap();
    assert_eq!(store.check_ready().await.unwrap(), Readiness::ReadOnly);

    let store = PostgresStore::open(&address).unwrap();
    assert!(store.check_ready().await.is_err());
    standby.promote();
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
}

/// A weaker setting would acknowledge a write that a crash or a failover loses.
#[tokio::test]
async fn weak_synchronous_commit_is_raised_and_a_strong_one_stays() {
    const RECORD: &str = "
        CREATE TABLE recorded (setting text);
        CREATE FUNCTION record_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO recorded VALUES (current_setting('synchronous_commit'));
            RETURN NEW;
        END $$;
        CREATE TRIGGER record_setting AFTER INSERT ON posts
           FOR EACH ROW EXECUTE FUNCTION record_setting()";
    let cluster = Cluster::start("");
    for (given, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ] {
        let database = cluster.database();
        database.execute(RECORD);
        let name = database.name();
        for owner in [format!("DATABASE {name}"), format!("ROLE tester IN DATABASE {name}")] {
            database.execute(&format!("ALTER {owner} SET synchronous_commit = {given}"));
            let store = PostgresStore::open(&database.address()).unwrap();
            let store = FreshStore::shared(std::sync::Arc::new(store));
            let ada = store.sign_up(&format!("ada{}", owner.len())).await;
            store.write(ada, "post").await;
        }
        let recorded = database.query("SELECT setting FROM recorded");
        assert_eq!(recorded, [expected, expected], "{given}");
    }
}

#[tokio::test]
async fn readiness_of_a_hanging_server_has_a_limit_of_its_own() {
    let never = Duration::from_hours(1);
    let limits = PoolLimits {
        acquire_timeout: never,
        statement_timeout: never,
        answer_timeout: never,
        ..PoolLimits::default()
    };
    let cluster = Cluster::start("");
    let database = cluster.database();
    let store = PostgresStore::open_with(&database.address(), limits).unwrap();
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
    cluster.signal_all("-STOP");
    let checked = tokio::time::timeout(Duration::from_mins(5), store.check_ready()).await;
    cluster.signal_all("-CONT");
    let outcome = checked.expect("an answer");
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}

/// Commits wait for a standby that is gone. Cancelled statements do not fill up the server.
#[tokio::test]
async fn statements_behind_a_lost_synchronous_standby_do_not_pile_up() {
    let limits = PoolLimits {
        statement_timeout: Duration::from_millis(50),
        failover_wait: Duration::ZERO,
        ..PoolLimits::for_connections(4)
    };
    let cluster = Cluster::start("");
    let name = cluster.database().keep();
    let database = cluster.existing_database(&name);
    let store = PostgresStore::open_with(&database.address(), limits).unwrap();
    let store = FreshStore::shared(std::sync::Arc::new(store));
    while store.check_ready().await.is_err() {}
    cluster.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'gone'");
    cluster.execute("postgres", "SELECT pg_reload_conf()");
    let count = |condition: &str| -> usize {
        let backends = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'";
        database.query(&format!("{backends} AND datname = '{name}' AND {condition}")).len()
    };
    while database.query("SHOW synchronous_standby_names") != ["gone"] {}
    for round in 0..5 {
        let users = (0..20).map(|number| new_user(&format!("user{round}-{number}")));
        let created = join_all(users.map(|user| store.create_user(user))).await;
        assert!(created.iter().all(Result::is_err), "{created:?}");
        // Connections that have just been closed may still end.
        let open = count("pid <> pg_backend_pid()");
        assert!(open <= 2 * limits.connections, "{open} connections in round {round}");
    }
    while count("wait_event = 'SyncRep'") > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.execute("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    cluster.execute("postgres", "SELECT pg_reload_conf()");
    while store.create_user(new_user("last")).await.is_err() {}
}
