//! Opens connections, and gives those that serve requests their settings.
//!
//! The settings are sent after the start: a pooler may refuse startup options, because they would
//! hold for its server connections.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::connection_error::{HostFailure, OpenError, connecting_failed};
use super::host_race::race;
use super::pooled_client::PooledClient;
use super::search_path::PUT_SCHEMA_FIRST;
use super::startup_options::{self, Assignment};
use super::tls::connector;
use crate::store::Result;

/// How long a connection may take to be opened, authenticated and set up.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of a connection that serves requests. The server ends a statement after 30 seconds, and
/// waits 3 seconds for a lock. Plans do not depend on the values (a test checks every plan), so
/// each is made once; with Citus, see [`CITUS_SETTINGS`]. JIT compilation would cost more than it
/// saves. A batch of votes reads what other processes committed since its transaction began, and
/// patterns of searches contain backslashes, so neither the isolation nor the syntax of strings may
/// depend on a default of the database or the role. Values are sent in binary, so the styles of dates
/// and bytes do not matter.
///
/// A plan that is made while a table is empty serves after the table has grown, until PostgreSQL
/// collects statistics. On an empty table every way to read it costs the same. So a plan reads a
/// whole table only if no index fits: not row by row (`enable_seqscan`), not to sort it
/// (`enable_sort`), and not to join a copy of it (`enable_material`).
pub const SERVING_SETTINGS: [(&str, &str); 10] = [
    ("statement_timeout", "30000"),
    ("lock_timeout", "3000"),
    ("idle_in_transaction_session_timeout", "10000"),
    ("default_transaction_isolation", "read committed"),
    ("standard_conforming_strings", "on"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_sort", "off"),
    ("enable_material", "off"),
];

/// The settings that replace those above on a server with Citus. It plans each statement anew to find
/// the servers that have the rows, and a statement takes one connection to each of them.
const CITUS_SETTINGS: [(&str, &str); 2] =
    [("plan_cache_mode", "auto"), ("citus.max_adaptive_executor_pool_size", "1")];

/// Makes an acknowledged write survive a crash, and a failover to a synchronous standby, even if the
/// server, the database or the role has a weaker `synchronous_commit`: `off` does not wait for the
/// disk, and `local` not for the standby. A stronger setting stays.
///
/// A database without an encoding has texts of any bytes. It refuses to send bytes that are not
/// UTF-8, unless the client has no encoding either.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
                        WHERE current_setting('synchronous_commit') IN ('off', 'local');
                       SELECT set_config('client_encoding', 'SQL_ASCII', false)
                        WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// Marks the session. A new connection whose session already has the mark shares it with another
/// connection: a pooler gives each transaction another session, so settings of a session reach
/// others.
const MARK_SESSION: &str = "DO $$ BEGIN
    IF current_setting('post_api.session', true) <> '' THEN
        RAISE EXCEPTION 'two connections share a session, as behind a pooler in transaction mode: '
            'set DATABASE_PREPARED_STATEMENTS=off' USING ERRCODE = 'connection_exception';
    END IF;
END $$;
SELECT set_config('post_api.session', 'serving', false);";

/// Opens a connection for an operator's command. It closes when the client is dropped.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database is unreachable.
pub async fn connect(address: &Address) -> Result<Client> {
    let connector = Connector::new(address)?;
    let deadline = Instant::now() + OPEN_TIMEOUT;
    let opened = connector.open(deadline).await.map_err(connecting_failed)?;
    let settings = set_all(&opened.options);
    let prepared = before(deadline, opened.client.batch_execute(&settings)).await;
    prepared.map_err(|failure| connecting_failed(connector.failed(opened.host, failure)))?;
    Ok(opened.client)
}

/// Opens the connections of a pool.
pub(super) struct Connector {
    /// The name of each host with its port.
    names: Vec<String>,
    configs: Vec<Config>,
    options: Option<String>,
    tls: MakeRustlsConnect,
    needs_primary: bool,
    /// Behind a pooler in transaction mode, a connection has no session.
    has_session: bool,
}

/// A connection after the login.
struct Opened {
    client: Client,
    task: JoinHandle<()>,
    was_idle_at_end: Arc<AtomicBool>,
    /// Startup options that are still to be set.
    options: Vec<Assignment>,
    /// The index of the host.
    host: usize,
}

impl Connector {
    /// # Errors
    /// If a certificate or a key cannot be used.
    pub(super) fn new(address: &Address) -> Result<Self> {
        let (names, configs) = address.hosts().into_iter().unzip();
        Ok(Self {
            names,
            configs,
            options: address.options.clone(),
            tls: connector(&address.tls)?,
            needs_primary: address.needs_primary,
            has_session: address.is_prepared(),
        })
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Opens a connection to the first host that fits.
    async fn open(&self, deadline: Instant) -> std::result::Result<Opened, OpenError> {
        race(&self.names, deadline, |host| self.open_host(host)).await
    }

    async fn open_host(&self, host: usize) -> std::result::Result<Opened, HostFailure> {
        let plain = self.configs.get(host).ok_or(HostFailure::Silent)?;
        let mut config = plain.clone();
        if let Some(options) = &self.options {
            config.options(options);
        }
        let (opened, options) = match (config.connect(self.tls()).await, &self.options) {
            (Err(error), Some(options)) if self.has_session && is_refused_by_pooler(&error) => {
                let Some(assignments) = startup_options::parse(options) else {
                    return Err(error.into());
                };
                (plain.connect(self.tls()).await?, assignments)
            }
            (opened, _) => (opened?, Vec::new()),
        };
        let (client, mut connection) = opened;
        let was_idle_at_end = Arc::new(AtomicBool::new(false));
        let was_idle = Arc::clone(&was_idle_at_end);
        let task = tokio::spawn(async move {
            if let Err(error) = (&mut connection).await {
                // The driver gives a message of the server to the statement in flight, if there is one.
                was_idle.store(error.code().is_some(), Ordering::SeqCst);
                tracing::debug!(%error, "database connection broken");
            }
            // After the flag, because statements that were not sent fail now.
            drop(connection);
        });
        if self.needs_primary && is_standby(&client).await? {
            return Err(HostFailure::Standby);
        }
        Ok(Opened { client, task, was_idle_at_end, options, host })
    }

    /// Opens a connection and sets what the statements of requests need.
    pub(super) async fn open_for_requests(&self) -> std::result::Result<PooledClient, OpenError> {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let Opened { client, task, was_idle_at_end, options, host } = self.open(deadline).await?;
        if self.has_session {
            let settings = [MARK_SESSION, &set_unless_chosen(), DURABLE, ";", &set_all(&options)];
            let settings = settings.concat();
            let set = async {
                client.batch_execute(&settings).await?;
                client.batch_execute(PUT_SCHEMA_FIRST).await
            };
            before(deadline, set).await.map_err(|failure| self.failed(host, failure))?;
        }
        Ok(PooledClient::new(ClientWrapper::new(client, task), was_idle_at_end))
    }

    fn failed(&self, host: usize, failure: HostFailure) -> OpenError {
        let name = self.names.get(host).cloned().unwrap_or_default();
        OpenError::new(&[name], vec![Some(failure)])
    }
}

async fn before<T>(
    deadline: Instant,
    work: impl Future<Output = std::result::Result<T, Error>>,
) -> std::result::Result<T, HostFailure> {
    Ok(timeout_at(deadline, work).await.map_err(|_| HostFailure::Silent)??)
}

async fn is_standby(client: &Client) -> std::result::Result<bool, Error> {
    // Without a prepared statement, which a pooler may refuse.
    let messages = client.simple_query("SELECT pg_is_in_recovery()").await?;
    let is_standby = messages.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
        _ => false,
    });
    Ok(is_standby)
}

/// Whether a pooler refused a startup option, or has no connection left.
fn is_refused_by_pooler(error: &Error) -> bool {
    error.code() == Some(&SqlState::PROTOCOL_VIOLATION)
}

/// Returns SQL that sets [`SERVING_SETTINGS`] or [`CITUS_SETTINGS`]. The startup options of the
/// address take precedence.
fn set_unless_chosen() -> String {
    let mut wanted = String::new();
    let plain = SERVING_SETTINGS.map(|setting| (setting, false));
    for ((name, value), is_of_citus) in plain.into_iter().chain(CITUS_SETTINGS.map(|it| (it, true)))
    {
        let comma = if wanted.is_empty() { "" } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(wanted, "{comma}('{name}', '{value}', {is_of_citus})");
    }
    format!(
        "SELECT set_config(name, value, false)
           FROM (SELECT DISTINCT ON (name) name, value
                   FROM (VALUES {wanted}) AS known (name, value, is_of_citus)
                  WHERE NOT is_of_citus OR EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
                  ORDER BY name, is_of_citus DESC) AS wanted
           JOIN pg_settings USING (name) WHERE source <> 'client';"
    )
}

fn set_all(assignments: &[Assignment]) -> String {
    assignments.iter().map(Assignment::to_sql).collect()
}
