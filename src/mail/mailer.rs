//! The queue of mails. It is in memory: a stop or a crash loses the waiting mails, and the user
//! asks again.
//!
//! A mail takes a permit of the queue, then a connection for each of its three tries within five
//! minutes. While a mail waits for its next try, the queue sends others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lettre::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::configuration::MailConfig;
use super::content::Mail;
use super::message::{self, Sender};
use super::public_url::PublicUrl;
use super::send_error::SendError;
use super::smtp_url::MailServer;
use super::transport::{ConsoleTransport, SmtpTransport, Transport};
use crate::error_chain::error_chain;

/// Maximum number of mails in the queue.
const QUEUE_LENGTH: usize = 1024;

/// Maximum number of connections that send a mail. A few more may be ending, see `transport.rs`.
const CONNECTIONS: usize = 4;

/// Maximum time of a try.
const TRY_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time from the queue to the end of the last try.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(5);

/// Waits before the second and the third try.
pub const RETRY_WAITS: [Duration; 2] = [Duration::from_secs(30), Duration::from_mins(3)];

/// Sends mails. Clones share the queue.
#[derive(Clone)]
pub struct Mailer(Arc<Shared>);

struct Shared {
    transport: Box<dyn Transport>,
    sender: Sender,
    public_url: PublicUrl,
    retry_waits: [Duration; 2],
    queue: Arc<Semaphore>,
    connections: Semaphore,
    queued: TaskTracker,
    /// From here on, no mail waits for another try.
    closing: CancellationToken,
    /// From here on, no mail is sent.
    ended: CancellationToken,
    dropped: AtomicUsize,
}

/// The end of a mail in the queue.
#[derive(Debug)]
pub enum Delivery {
    Sent,
    /// All tries failed; the last for this reason.
    Failed(SendError),
    /// The service stopped before the mail was sent.
    Dropped,
}

impl Mailer {
    /// `print` prints a text to standard error.
    ///
    /// # Errors
    /// If TLS to the mail server cannot be set up.
    pub fn new(config: &MailConfig, print: fn(&str)) -> Result<Self, SendError> {
        let transport: Box<dyn Transport> = match &config.server {
            MailServer::Console => Box::new(ConsoleTransport { print }),
            MailServer::Smtp(server) => Box::new(SmtpTransport::new(server, &config.public_url)?),
        };
        let (sender, public_url) = (config.sender.clone(), config.public_url.clone());
        Ok(Self::with_transport(transport, sender, public_url, RETRY_WAITS))
    }

    #[must_use]
    pub fn with_transport(
        transport: Box<dyn Transport>,
        sender: Sender,
        public_url: PublicUrl,
        retry_waits: [Duration; 2],
    ) -> Self {
        Self(Arc::new(Shared {
            transport,
            sender,
            public_url,
            retry_waits,
            queue: Arc::new(Semaphore::new(QUEUE_LENGTH)),
            connections: Semaphore::new(CONNECTIONS),
            queued: TaskTracker::new(),
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
            dropped: AtomicUsize::new(0),
        }))
    }

    /// Reserves the queue for one mail. Returns `None` if the queue is full.
    #[must_use]
    pub fn try_reserve(&self) -> Option<QueuePermit> {
        let permit = Arc::clone(&self.0.queue).try_acquire_owned().ok()?;
        Some(QueuePermit { mailer: self.clone(), _permit: permit, _queued: self.0.queued.token() })
    }

    /// Drops the mails that wait for another try, waits for the others at most for the limit, and
    /// then drops these too.
    pub async fn shutdown(&self, limit: Duration) {
        let Shared { queued, closing, ended, .. } = self.0.as_ref();
        closing.cancel();
        queued.close();
        if timeout(limit, queued.wait()).await.is_err() {
            ended.cancel();
            queued.wait().await;
        }
    }

    /// Returns the number of mails that the shutdown dropped.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::Relaxed)
    }

    async fn try_until_sent(&self, message: &Message) -> Delivery {
        let mut waits = self.0.retry_waits.into_iter();
        loop {
            let error = match self.try_once(message).await {
                Ok(()) => return Delivery::Sent,
                Err(error) => error,
            };
            let Some(wait) = waits.next().filter(|_| !error.is_final()) else {
                return Delivery::Failed(error);
            };
            tracing::warn!(error = error_chain(&error), "mail not sent, another try follows");
            tokio::select! {
                biased;
                () = self.0.closing.cancelled() => {
                    self.0.dropped.fetch_add(1, Ordering::Relaxed);
                    return Delivery::Dropped;
                }
                () = sleep(wait) => {}
            }
        }
    }

    async fn try_once(&self, message: &Message) -> Result<(), SendError> {
        // The semaphore is never closed.
        let _connection = self.0.connections.acquire().await;
        let sent = timeout(TRY_TIMEOUT, self.0.transport.send(message)).await;
        sent.unwrap_or(Err(SendError::Timeout))
    }
}

/// The permit to put one mail into the queue. It is free again when this is dropped.
#[must_use]
pub struct QueuePermit {
    mailer: Mailer,
    _permit: OwnedSemaphorePermit,
    _queued: TaskTrackerToken,
}

impl QueuePermit {
    /// Runs work for the mail, such as making it. Returns `None` if the shutdown drops the mail.
    pub async fn unless_dropped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Shared { ended, dropped, .. } = self.mailer.0.as_ref();
        tokio::select! {
            // The work first: it may have sent the mail at the same moment.
            biased;
            done = work, if !ended.is_cancelled() => Some(done),
            () = ended.cancelled() => {
                dropped.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Sends the mail. Takes at most five minutes.
    pub async fn deliver(self, mail: &Mail, now: Timestamp) -> Delivery {
        let shared = &self.mailer.0;
        let message = match message::build(mail, &shared.sender, &shared.public_url, now) {
            Ok(message) => message,
            Err(error) => return Delivery::Failed(error),
        };
        let send = async {
            tokio::select! {
                // First, so that no try begins when the time is over.
                biased;
                () = sleep(TOTAL_TIMEOUT) => Delivery::Failed(SendError::Timeout),
                delivery = self.mailer.try_until_sent(&message) => delivery,
            }
        };
        self.unless_dropped(send).await.unwrap_or(Delivery::Dropped)
    }
}
