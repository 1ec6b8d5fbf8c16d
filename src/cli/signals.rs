//! The signals that `serve` handles. By default each of them would end the process at once.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Exit;
use crate::api::Shutdown;
use crate::server::NotifySocket;
use crate::telemetry;

/// SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> Result<Self, Exit> {
        let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(listen);
        Ok(Self { terminate: terminate?, interrupt: interrupt? })
    }

    /// Completes when the listener is to accept no more connections: `delay` after the first signal.
    /// Readiness probes fail from the first signal on, so that a load balancer can stop sending
    /// meanwhile. A second signal ends the process at once.
    pub(super) async fn shutdown(
        mut self,
        shutdown: Shutdown,
        service_manager: NotifySocket,
        delay: Duration,
    ) {
        self.next().await;
        shutdown.begin();
        service_manager.stopping();
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("second signal; ending at once");
            telemetry::flush();
            std::process::exit(1);
        });
        if !delay.is_zero() {
            tracing::info!(seconds = delay.as_secs(), "not ready; still accepting connections");
            tokio::time::sleep(delay).await;
        }
        shutdown.end_streams();
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Logs the signals that mean nothing to the service, instead of ending. Without a certificate,
/// there is nothing to reload at SIGHUP. The Rust runtime ignores SIGPIPE.
pub(super) fn log_other_signals(has_certificate: bool) -> Result<(), Exit> {
    let mut others = vec![
        (SignalKind::user_defined1(), "SIGUSR1"),
        (SignalKind::user_defined2(), "SIGUSR2"),
        (SignalKind::alarm(), "SIGALRM"),
        (SignalKind::io(), "SIGIO"),
    ];
    if !has_certificate {
        others.push((SignalKind::hangup(), "SIGHUP"));
    }
    for (kind, name) in others {
        let mut signals = listen(kind)?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                tracing::info!(signal = name, "signal ignored");
            }
        });
    }
    Ok(())
}

fn listen(kind: SignalKind) -> Result<Signal, Exit> {
    Ok(signal(kind).context("could not listen for signals")?)
}
