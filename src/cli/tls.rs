//! The certificate that the settings name: opened, and replaced while the service runs.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use crate::config::{SettingError, Settings};
use crate::http::{Tls, UnusableTls};

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

const CURE: &str = "give the certificate with those of its authorities after it, and its private \
                    key, both as PEM that this user can read";

pub(super) fn open_tls(settings: &Settings) -> Result<Option<Arc<Tls>>, Exit> {
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
            Err(Exit::Settings(vec![SettingError::new(name, unusable.to_string(), CURE)]))
        }
    }
}

/// Takes other files when it is told to (SIGHUP), and when there are others. On a thread of its own:
/// files may be slow.
pub(super) fn watch(tls: Arc<Tls>) -> Result<(), Exit> {
    let mut hang_up = signal(SignalKind::hangup()).context("no signals can be received")?;
    let (tell, told) = channel();
    tokio::spawn(async move { while hang_up.recv().await.is_some() && tell.send(()).is_ok() {} });
    let look = move || {
        loop {
            match told.recv_timeout(PERIOD) {
                Ok(()) => reload(&tls),
                Err(RecvTimeoutError::Timeout) if tls.has_changed() => reload(&tls),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    let thread = std::thread::Builder::new().name("certificate".to_owned());
    thread.spawn(look).context("the certificate cannot be watched")?;
    Ok(())
}

fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(()) => tracing::info!("the certificate was read again"),
        Err(cause) => {
            tracing::error!(%cause, "the certificate cannot be replaced, and stays as it was");
        }
    }
}
