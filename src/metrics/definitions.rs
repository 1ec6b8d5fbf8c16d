//! Every metric: its name, kind, labels and documentation, each written once.
//!
//! `docs/metrics.md` is generated from these rows. Names and labels are part of the product:
//! dashboards and alerts use them.

use prometheus_client::metrics::MetricType;

/// One metric. Its labels have fixed values only, so that no client can add a series.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    /// Returns the name without the suffix that the encoder adds.
    pub(super) fn family(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

/// Declares a row for each `NAME = kind("name" {"label", …}, "documentation");`, and the list of all
/// rows.
macro_rules! metrics {
    ($($row:ident = $kind:ident($name:literal {$($label:literal),*}, $help:literal);)+) => {
        /// The rows, by their names in the code.
        pub mod name {
            use super::{Kind, Metric};

            $(pub static $row: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };)+
        }

        /// All metrics, in the order of the documentation.
        pub static METRICS: &[&Metric] = &[$(&name::$row),+];
    };
}

metrics! {
    REQUEST_DURATION = Histogram("http_server_request_duration_seconds"
        {"http_request_method", "http_route", "http_response_status_code"},
        "Time from the head of a request to the head of its response.");
    ACTIVE_REQUESTS = Gauge("http_server_active_requests" {},
        "Requests that have no response yet.");
    CONNECTIONS = Gauge("http_server_connections" {},
        "Open connections.");
    CONNECTIONS_REFUSED = Counter("http_server_connections_refused_total" {},
        "Connections that were closed because a limit on connections or memory was reached.");
    CHANGE_STREAMS = Gauge("post_api_change_streams" {},
        "Open streams of changes (GET /posts/changes).");
    NOT_MODIFIED = Counter("post_api_not_modified_total" {},
        "Responses 304: the client had the current response already.");
    RATE_LIMITED = Counter("post_api_rate_limited_total" {"limit"},
        "Responses 429, by the rate limit that was reached.");
    LOGINS = Counter("post_api_logins_total" {"outcome"},
        "Logins with a password, by their outcome.");
    AUDIT_EVENTS = Counter("post_api_audit_events_total" {"event"},
        "Audit events, by their name.");
    MAILS = Counter("post_api_mails_total" {"outcome"},
        "Mails, by outcome: `sent`, `failed` (refused, or the last try failed) or `dropped` (full queue, store error, or stop).");
    PASSWORD_HASH_DURATION = Histogram("post_api_password_hash_duration_seconds" {},
        "Time to hash or verify a password, without its wait in the queue.");
    PASSWORD_QUEUE_LENGTH = Gauge("post_api_password_queue_length" {},
        "Passwords that wait for a hashing thread.");
    RANKING_DURATION = Histogram("post_api_ranking_duration_seconds" {"source"},
        "Time to compute the rankings of posts, by what they are made from.");
    STORE_DURATION = Histogram("post_api_store_duration_seconds" {"operation"},
        "Time of an operation of the store, with its waits.");
    STORE_ERRORS = Counter("post_api_store_errors_total" {"kind"},
        "Operations of the store that failed, by the kind of the error.");
    STORE_QUEUE_LENGTH = Gauge("post_api_store_queue_length" {"queue"},
        "Operations of the store that wait, by their queue.");
    BATCH_MEMBERS = Histogram("post_api_store_batch_members" {"queue"},
        "Requests that share a transaction (SQLite) or a statement (PostgreSQL), by their queue.");
    IDEMPOTENT_REPLAYS = Counter("post_api_idempotent_replays_total" {},
        "Writes that repeat the outcome of an earlier request with the same Idempotency-Key.");
    DATABASE_CONNECTIONS = Gauge("post_api_database_connections" {"state"},
        "Connections to PostgreSQL, by their state.");
    DATABASE_CONNECTIONS_LIMIT = Gauge("post_api_database_connections_limit" {},
        "Most connections that this process opens to PostgreSQL (DATABASE_POOL_SIZE).");
    DATABASE_BYTES = Gauge("post_api_database_bytes" {"file"},
        "Size of the embedded database and of its write-ahead log.");
    BUILD_INFO = Gauge("post_api_build_info" {"version", "store"},
        "Always 1. The labels have the version of the service and the kind of its store.");
    PROCESS_CPU_SECONDS = Counter("process_cpu_seconds_total" {},
        "CPU time of the process, in user mode and in the kernel. Linux only.");
    PROCESS_RESIDENT_MEMORY = Gauge("process_resident_memory_bytes" {},
        "Resident memory of the process. Linux only.");
    PROCESS_OPEN_FILES = Gauge("process_open_fds" {},
        "Open files of the process. Linux only.");
    PROCESS_MAX_FILES = Gauge("process_max_fds" {},
        "Most files that the process can open. Linux only.");
    PROCESS_START_TIME = Gauge("process_start_time_seconds" {},
        "Start of the process in seconds since 1970. Linux only.");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn metrics_have_unique_names_of_the_form_that_prometheus_recommends() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let is_plain =
                |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_plain(metric.name), "{metric:?}");
            assert!(metric.labels.iter().all(|label| is_plain(label)), "{metric:?}");
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{metric:?}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{metric:?}");
        }
    }
}
