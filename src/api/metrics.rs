//! The metrics of the routes. All of them are rare, so they are counted also if nothing asks for them.
//!
//! Not here: requests and responses, see `server/request_metrics.rs`.

use std::fmt;
use std::time::Duration;

use super::error::{ApiError, ApiResult};
use crate::domain::event::EventKind;
use crate::metrics::{Collect, Histogram, LabeledCounters, RANKING_SECONDS, Scrape, name};
use crate::store::RankSource;

pub struct ApiMetrics {
    audit_events: LabeledCounters,
    logins: LabeledCounters,
    mails: LabeledCounters,
    most_voted: Histogram,
    newest: Histogram,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        Self {
            audit_events: LabeledCounters::new(EventKind::ALL.map(EventKind::name)),
            logins: LabeledCounters::new(["success", "refused", "limited", "failed"]),
            mails: LabeledCounters::new(["sent", "failed", "dropped"]),
            most_voted: Histogram::new(&RANKING_SECONDS),
            newest: Histogram::new(&RANKING_SECONDS),
        }
    }
}

impl ApiMetrics {
    pub(super) fn count_event(&self, kind: EventKind) {
        self.audit_events.increment(kind.name());
    }

    pub(super) fn count_login<T>(&self, outcome: &ApiResult<T>) {
        self.logins.increment(match outcome {
            Ok(_) => "success",
            Err(ApiError::InvalidLogin) => "refused",
            Err(ApiError::RateLimited(_)) => "limited",
            Err(_) => "failed",
        });
    }

    pub(super) fn count_mail(&self, outcome: &'static str) {
        self.mails.increment(outcome);
    }

    pub(super) fn record_ranking(&self, source: RankSource, duration: Duration) {
        match source {
            RankSource::MostVoted => self.most_voted.record_duration(duration),
            RankSource::Newest => self.newest.record_duration(duration),
        }
    }
}

impl Collect for ApiMetrics {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        scrape.counters(&name::LOGINS, self.logins.values())?;
        scrape.counters(&name::AUDIT_EVENTS, self.audit_events.values())?;
        scrape.counters(&name::MAILS, self.mails.values())?;
        let rankings = [(["most_voted"], &self.most_voted), (["newest"], &self.newest)];
        scrape.histograms(&name::RANKING_DURATION, rankings)
    }
}
