//! `post-api serve`: opens the database and the keys, prints the banner, and serves until a signal.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::ServeArguments;
use super::exit::Exit;
use super::minutes::end_each_minute;
use super::scheduled_backups::ScheduledBackups;
use super::serve_metrics::MetricsSetup;
use super::setup::{describe, make_private_folder, open_keys, open_store};
use super::signals::{StopSignals, log_other_signals};
use crate::api::{
    self, Administration, AppState, Background, ChangeFeed, Documentation, InstallationKeys,
    LargeWork, Mails, PageSwitches, Rankings, Shutdown, openapi,
};
use crate::auth::{Keys, MailLinks, Passwords, Tokens};
use crate::client_limits::{ClientLimits, ConnectionTimeouts};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, LogFormat, SettingError, Settings, Source};
use crate::mail::Mailer;
use crate::metrics::Traffic;
use crate::rate_limits::{LIMIT_NAMES, MonotonicClock, ProcessClock, RateLimitConfig, RateLimits};
use crate::server::{
    self, Limits, MiddlewareConfig, NotifySocket, Tls, UnusableTls, passed_socket,
    raise_open_files, watch_tls_files, with_middleware,
};
use crate::store::{MeasuredStore, Store};
use crate::telemetry;

/// Maximum delay of the shutdown by background tasks. Service managers allow about 30 s in all, and
/// draining the requests takes most of it.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for the mails in progress at the shutdown. Their tasks then have time to count them as
/// dropped.
const MAIL_TIMEOUT: Duration = Duration::from_millis(2500);

pub(super) fn run(arguments: &ServeArguments) -> Result<(), Exit> {
    disable_huge_pages();
    let (settings, source) = arguments.read()?;
    settings.check_for_serving()?;
    telemetry::start(settings.log_format, settings.log_level).context("could not start the log")?;
    warn_about_env_file(&source);
    warn_about(&settings.warnings);
    warn_about(&source.password_on_command_line());
    let passed = passed_socket().map_err(|unusable| {
        Exit::Settings(vec![SettingError::new("LISTEN_FDS", unusable.to_string(), SOCKET_HINT)])
    })?;
    if matches!(settings.database, Database::Sqlite(_)) {
        make_private_folder(&settings.data_dir)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.server_threads.unwrap_or_else(server::server_threads))
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(serve(&settings, arguments.upgrade, passed))
}

/// Makes the kernel back memory with pages of 4 KiB. A huge page takes 2 MiB for the first byte that
/// is used, and systems may give them to every process.
fn disable_huge_pages() {
    #[cfg(target_os = "linux")]
    // If the system refuses, the service only takes more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

async fn serve(
    settings: &Settings,
    can_upgrade: bool,
    passed: Option<TcpListener>,
) -> Result<(), Exit> {
    let tls = open_tls(settings)?;
    log_other_signals(tls.is_some())?;
    let store = open_store(&settings.database, can_upgrade).await?;
    let served = serve_from(settings, tls, Arc::clone(&store), passed).await;
    // Also after an error: the file of an embedded database has every write only when it is closed.
    store.close().await;
    served?;
    tracing::info!("ended");
    Ok(())
}

fn start_backups(settings: &Settings) -> Result<Option<ScheduledBackups>, Exit> {
    let (Some(schedule), Database::Sqlite(database)) = (&settings.backups, &settings.database)
    else {
        return Ok(None);
    };
    let backups = ScheduledBackups::start(database, schedule.clone(), SystemClock);
    Ok(Some(backups.context("could not start the thread of backups")?))
}

async fn serve_from(
    settings: &Settings,
    tls: Option<Arc<Tls>>,
    store: Arc<dyn Store>,
    passed: Option<TcpListener>,
) -> Result<(), Exit> {
    let signals = StopSignals::listen()?;
    let service_manager = NotifySocket::from_environment();
    let listener = listen(settings, passed).await?;
    let address = listener.local_addr().context("could not read the address of the listener")?;
    let mut metrics = MetricsSetup::listen(settings).await?;
    warn_about(&settings.plaintext_listener(address.ip()));
    warn_about(&settings.exposed_data());
    warn_about(&settings.public_metrics());
    // After listening: a second service fails to bind the port, so it does not record that its key
    // signs.
    let store = if metrics.is_some() { Arc::new(MeasuredStore::new(store)) } else { store };
    let app = build_app(settings, store, open_keys(settings)?)?;
    let client_limits = ClientLimits::new(settings.client_memory, raise_open_files());
    let add_sources =
        |metrics: &mut MetricsSetup| metrics.add_sources(settings, &app, &client_limits);
    let requests = metrics.as_mut().map(add_sources);
    let middleware = MiddlewareConfig {
        origins: settings.cors_origins.clone(),
        access_log: settings.access_log,
        client_limits,
        trusted_proxies: settings.trusted_proxies.clone(),
        metrics: requests,
        traffic: Arc::clone(&app.administration.traffic),
    };
    let background = app.background.clone();
    let mailer = app.mails.as_ref().map(|mails| mails.mailer.clone());
    let traffic = Arc::clone(&app.administration.traffic);
    let (stopping, delay) = (app.shutdown.clone(), settings.shutdown_delay);
    let shutdown = signals.shutdown(stopping, service_manager.clone(), delay);
    let pages = PageSwitches { docs: settings.docs, front_page: settings.page };
    let routes = api::routes(app, pages);
    let service = with_middleware(routes, middleware);
    if let Some(tls) = &tls {
        watch_tls_files(Arc::clone(tls)).context("could not watch the TLS certificate")?;
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    print_banner(settings, &format!("{scheme}://{address}"), metrics.as_ref());
    // It answers until the last request has ended.
    let _metrics = metrics.map(MetricsSetup::start).transpose()?;
    // After listening: a second service fails to bind the port, so it makes no backup.
    let _backups = start_backups(settings)?;
    service_manager.ready();
    service_manager.start_watchdog();
    let served = tokio::select! {
        served = server::serve(listener, service, limits(settings), tls, shutdown) => served,
        never = end_each_minute(&traffic, &SystemClock) => match never {},
    };
    end_background(&background, mailer.as_ref()).await;
    Ok(served.context("the listener failed")?)
}

/// Waits for background tasks, and logs how many mails were dropped.
async fn end_background(background: &Background, mailer: Option<&Mailer>) {
    let mails = async {
        if let Some(mailer) = mailer {
            mailer.shutdown(MAIL_TIMEOUT).await;
        }
    };
    tokio::join!(mails, background.shutdown(BACKGROUND_TIMEOUT));
    let mails = mailer.map_or(0, Mailer::dropped);
    if mails > 0 {
        tracing::warn!(mails, "mails dropped: the service stops");
    }
}

fn limits(settings: &Settings) -> Limits {
    let limits = Limits::default();
    let keep_alive = settings.keep_alive_timeout;
    Limits { timeouts: ConnectionTimeouts { keep_alive, ..limits.timeouts }, ..limits }
}

fn build_app(settings: &Settings, store: Arc<dyn Store>, keys: Keys) -> Result<AppState, Exit> {
    let clock = Arc::new(SystemClock);
    let (started_at, traffic) = (clock.now(), Arc::new(Traffic::new(LIMIT_NAMES)));
    let pseudonym_key = keys.pseudonym_key();
    let mails = open_mails(settings, &keys)?;
    let tokens = Tokens::with_keys(keys, settings.token_lifetime, clock.clone())
        .context("could not use the keys")?;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let passwords = Passwords::new(settings.argon2_params, cores)
        .context("could not start the hashing threads")?;
    let rates = settings
        .rate_limits
        .map(|rates| RateLimitConfig { hashing_capacity: passwords.capacity(), ..rates });
    let monotonic_clock: Arc<dyn MonotonicClock> = Arc::new(ProcessClock::default());
    let rate_limits = rates.map_or_else(RateLimits::off, |rates| {
        RateLimits::new(&rates, &monotonic_clock, store.clone(), clock.clone(), pseudonym_key)
    });
    let rate_limits = rate_limits.with_mails(&settings.mail_rates, &monotonic_clock, pseudonym_key);
    Ok(AppState {
        store,
        passwords,
        tokens,
        clock,
        policy: settings.policy.clone(),
        rate_limits,
        background: Background::default(),
        shutdown: Shutdown::default(),
        documentation: Documentation::default(),
        large_work: LargeWork::default(),
        installation_keys: InstallationKeys::default(),
        rankings: Rankings::default(),
        mails,
        administration: Administration::new(started_at, traffic),
        changes: ChangeFeed::new(settings.changes_streams),
        metrics: Arc::default(),
        root_path: settings.root_path.clone(),
    })
}

fn open_mails(settings: &Settings, keys: &Keys) -> Result<Option<Mails>, Exit> {
    let Some(config) = &settings.mail else { return Ok(None) };
    let mailer = Mailer::new(config, telemetry::print).context("could not set up mail")?;
    Ok(Some(Mails { mailer, links: MailLinks::new(&keys.mail_link_key()) }))
}

pub(super) const TLS_HINT: &str = "give the certificate, followed by those of its authorities, and \
                                   its private key, both in PEM and readable for the service's \
                                   user";

fn open_tls(settings: &Settings) -> Result<Option<Arc<Tls>>, Exit> {
    let Some(files) = &settings.tls else {
        return Ok(None);
    };
    match Tls::open(files.certificate.clone(), files.key.clone()) {
        Ok(tls) => Ok(Some(Arc::new(tls))),
        Err(unusable) => {
            let name = match unusable {
                UnusableTls::Certificate(_) => "TLS_CERT",
                UnusableTls::Key(_) => "TLS_KEY",
            };
            Err(Exit::Settings(vec![SettingError::new(name, unusable.to_string(), TLS_HINT)]))
        }
    }
}

const SOCKET_HINT: &str = "pass one listening TCP socket: name one port with ListenStream= in the \
                           socket unit, and keep Accept=no";

/// Returns the socket that the service manager passed, or listens on `HOST` and `PORT`.
async fn listen(settings: &Settings, passed: Option<TcpListener>) -> Result<TcpListener, Exit> {
    if let Some(listener) = passed {
        tracing::info!("listening on the socket of the service manager, not on HOST and PORT");
        return Ok(listener);
    }
    let listener = server::listen(&settings.host, settings.port).await;
    Ok(listener.map_err(|error| vec![cannot_listen(settings, &error)])?)
}

/// Returns the error of the setting that is at fault.
pub(super) fn cannot_listen(settings: &Settings, error: &io::Error) -> SettingError {
    let (host, port) = (&settings.host, settings.port);
    let (name, value, hint) = match error.kind() {
        ErrorKind::AddrInUse => (
            "PORT",
            port.to_string(),
            "stop the other program that uses the port, or give another port",
        ),
        ErrorKind::PermissionDenied => {
            ("PORT", port.to_string(), "give a port from 1024, or the right CAP_NET_BIND_SERVICE")
        }
        // Some shells and programs set a variable HOST of their own, such as tcsh and conda.
        _ => (
            "HOST",
            format!("{host:?}"),
            "give an IP address of this machine, such as 127.0.0.1 or 0.0.0.0, or its name; if \
             another program sets HOST in the environment, start with --host",
        ),
    };
    let problem = format!("{value} cannot be used: cannot listen on {host}:{port}: {error}");
    SettingError::new(name, problem, hint)
}

fn warn_about<'a>(warnings: impl IntoIterator<Item = &'a SettingError>) {
    for SettingError { name, problem, hint } in warnings {
        tracing::warn!(name, problem, hint, "insecure setting");
    }
}

fn warn_about_env_file(source: &Source) {
    for line in &source.unreadable_lines {
        tracing::warn!(line, "skipped a line of the env file that cannot be parsed");
    }
    for line in &source.unknown_lines {
        tracing::warn!(line, "a line of the env file sets an unknown name");
    }
    for (name, meant) in source.misspelt_variables() {
        tracing::warn!(name, meant, "the environment may have a misspelt setting");
    }
}

/// Prints the locations of the API, its documentation, its data and its metrics.
fn print_banner(settings: &Settings, url: &str, metrics: Option<&MetricsSetup>) {
    let docs = if settings.docs { format!("{url}/docs") } else { "off".to_owned() };
    let data = describe(&settings.database);
    let metrics = metrics.map(MetricsSetup::url);
    let version = env!("CARGO_PKG_VERSION");
    match settings.log_format {
        LogFormat::Json => {
            tracing::info!(api = url, docs, data = %data, metrics, version, "serving");
        }
        LogFormat::Text => {
            let title = openapi::TITLE;
            // Before the URL of the API, by which a supervisor knows that the service has started.
            let metrics = metrics.map(|url| format!("  Metrics {url}\n")).unwrap_or_default();
            let banner = format!(
                "{title} {version}\n{metrics}  API   {url}\n  Docs  {docs}\n  Data  {data}\n"
            );
            telemetry::print(&banner);
        }
    }
}
