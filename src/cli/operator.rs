//! The database as the commands on accounts and posts use it, and the audit events of their changes.
//! An event is a line of the command's log, on standard error, and a row for its account.

use anyhow::Context as _;

use super::SourceArguments;
use super::exit::Exit;
use super::list_lines::escape;
use super::setup::open_operator;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, OperatorSettings};
use crate::domain::email::TypedEmail;
use crate::domain::event::{Event, EventKind};
use crate::domain::post::PostId;
use crate::domain::user::{Account, UserId};
use crate::store::OperatorStore;
use crate::telemetry;

pub(super) struct Operator {
    pub(super) store: Box<dyn OperatorStore>,
}

impl Operator {
    /// Opens a database that has every migration.
    pub(super) async fn open(database: &Database) -> Result<Self, Exit> {
        Ok(Self { store: open_operator(database).await? })
    }

    /// # Errors
    /// [`Exit::CheckFailed`] if no account has the e-mail.
    pub(super) async fn find(&mut self, email: &str) -> Result<Account, Exit> {
        let found = self.store.find_account(&TypedEmail::new(email)).await?;
        found.ok_or_else(|| no_account(email))
    }

    /// Records a change of an account. If the store cannot keep the event, the change remains in
    /// effect.
    pub(super) async fn record(&mut self, user: UserId, kind: EventKind) {
        log(user, kind);
        self.keep(user, kind).await;
    }

    /// Records the deletion of a post of the account.
    pub(super) async fn record_deleted_post(&mut self, owner: UserId, PostId(post): PostId) {
        let kind = EventKind::PostDeletedByOperator;
        let (event, user) = (kind.name(), owner.0);
        tracing::info!(target: "audit", event, outcome = "done", user, post, client = "");
        self.keep(owner, kind).await;
    }

    async fn keep(&mut self, user: UserId, kind: EventKind) {
        let event = Event { kind, at: SystemClock.now(), client: None };
        if let Err(error) = self.store.record_event(user, event).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(error, event = kind.name(), "could not store an audit event");
        }
    }
}

/// Records an event only in the log.
pub(super) fn log(UserId(user): UserId, kind: EventKind) {
    let event = kind.name();
    tracing::info!(target: "audit", event, outcome = "done", user, client = "");
}

/// Records an event of so many accounts only in the log.
pub(super) fn log_all(kind: EventKind, accounts: u64) {
    tracing::info!(target: "audit", event = kind.name(), outcome = "done", accounts, client = "");
}

/// Reads the settings of a command on accounts and posts, and starts its log.
pub(super) fn start(arguments: &SourceArguments) -> Result<OperatorSettings, Exit> {
    let source = arguments.read_with_warning()?;
    let settings = OperatorSettings::load(&source)?;
    telemetry::start(settings.log_format, settings.log_level).context("could not start the log")?;
    Ok(settings)
}

pub(super) fn no_account(email: &str) -> Exit {
    Exit::CheckFailed(vec![format!("no account has the e-mail {}", escape(email))])
}
