//! Reloads the TLS certificate while the service runs: on SIGHUP, and when its files change.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::tls::{Tls, UnusableTls};

/// Time between two checks of the files.
const PERIOD: Duration = Duration::from_secs(5);

/// Watches the files of the certificate on a separate thread, because reading a file can block.
///
/// # Errors
/// If the signal handler or the thread cannot be created.
pub fn watch_tls_files(tls: Arc<Tls>) -> io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let (sender, signals) = channel();
    tokio::spawn(async move { while hang_up.recv().await.is_some() && sender.send(()).is_ok() {} });
    let watch = move || {
        loop {
            match signals.recv_timeout(PERIOD) {
                Ok(()) => log(Some(tls.reload())),
                Err(RecvTimeoutError::Timeout) => log(tls.reload_if_changed()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    std::thread::Builder::new().name("tls-reload".to_owned()).spawn(watch)?;
    Ok(())
}

fn log(reload: Option<Result<(), UnusableTls>>) {
    match reload {
        None => {}
        Some(Ok(())) => tracing::info!("TLS certificate reloaded"),
        Some(Err(cause)) => {
            tracing::error!(%cause, "could not reload the TLS certificate; the old one stays in use");
        }
    }
}
