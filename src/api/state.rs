//! The state that all handlers share.

use std::sync::Arc;

use super::administration::Administration;
use super::background::Background;
use super::changes::ChangeFeed;
use super::docs::Documentation;
use super::entity_tag::EntityTags;
use super::error::ApiResult;
use super::installation_keys::InstallationKeys;
use super::large_work::LargeWork;
use super::metrics::ApiMetrics;
use super::rankings::Rankings;
use super::shutdown::Shutdown;
use crate::auth::{MailLinks, Passwords, Tokens};
use crate::clock::Clock;
use crate::domain::policy::Policy;
use crate::mail::Mailer;
use crate::rate_limits::RateLimits;
use crate::store::Store;

/// The state of the service, shared by all requests.
pub struct AppState {
    pub store: Arc<dyn Store>,
    pub passwords: Passwords,
    pub tokens: Tokens,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
    pub rate_limits: RateLimits,
    pub background: Background,
    pub shutdown: Shutdown,
    pub documentation: Documentation,
    pub large_work: LargeWork,
    pub installation_keys: InstallationKeys,
    pub rankings: Rankings,
    /// `None` means that the service sends no mail.
    pub mails: Option<Mails>,
    pub administration: Administration,
    pub changes: ChangeFeed,
    pub metrics: Arc<ApiMetrics>,
    /// The path prefix below which a proxy serves the API: empty, or starting with a slash.
    pub root_path: String,
}

/// The means to send mails.
pub struct Mails {
    pub mailer: Mailer,
    pub links: MailLinks,
}

impl AppState {
    /// # Errors
    /// Those of the store, until it has returned its key once.
    pub(super) async fn entity_tags(&self) -> ApiResult<EntityTags> {
        Ok(self.installation_keys.get(self.store.as_ref()).await?.entity_tags)
    }
}
