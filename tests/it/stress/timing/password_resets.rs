//! Tests whether the time of `POST /password-resets` reveals accounts: known against unknown e-mails
//! on one connection.
//!
//! Each request is of a random kind, independent of those before: the mail of a request is made and
//! sent after its response, and so takes its time from the next request.

use std::time::Instant;

use serde_json::json;

use super::ONE_AT_A_TIME;
use super::statistics::{Comparison, T_BOUND, median};
use crate::stress::budget::{Budget, read};
use crate::stress::rng::Rng;
use crate::support::{Cluster, PASSWORD, Service, SmtpServer, SmtpTls, Wire};

const KEY: &str = "d4f0b98c57e14a25a3c2be1f06978d3e";

/// E-mails of each kind, so that the result does not depend on a single e-mail.
const EMAILS_PER_KIND: usize = 16;

/// Requests before those that are measured.
const WARM_UP: usize = 40;

struct Kinds {
    /// Unknown e-mails, then known ones.
    emails: [Vec<String>; 2],
    durations: [Vec<f64>; 2],
}

impl Kinds {
    fn new(service: &Service, rng: &mut Rng) -> Self {
        let mut emails = || -> Vec<String> {
            (0..EMAILS_PER_KIND).map(|_| format!("{:016x}@example.com", rng.next())).collect()
        };
        let (unknown, known) = (emails(), emails());
        for email in &known {
            let account = json!({"email": email, "password": PASSWORD});
            service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        }
        Self { emails: [unknown, known], durations: [Vec::new(), Vec::new()] }
    }

    fn measure(&mut self, service: &Service, server: &SmtpServer, count: usize, rng: &mut Rng) {
        let mut wire = service.connect();
        self.durations = [Vec::new(), Vec::new()];
        for number in 0..count + WARM_UP {
            let kind = usize::from(rng.next() & 1 == 1);
            let email = rng.pick(&self.emails[kind]).as_str();
            let duration = ask(&mut wire, email);
            if number >= WARM_UP {
                self.durations[kind].push(duration);
            }
            // Mails would fill the memory of the test.
            drop(server.other_mails());
        }
    }

    /// Returns the largest |t|, and the smallest difference that would have failed.
    fn assert_indistinguishable(&self, seed: &str) -> (f64, f64) {
        let [unknown, known] = &self.durations;
        let (mut largest, mut detectable) = (0_f64, f64::INFINITY);
        for comparison in Comparison::all(unknown, known) {
            let (t, difference) = (comparison.t(), comparison.difference);
            assert!(t.abs() < T_BOUND, "{seed}: t = {t:.2} ({difference:+.2} µs)");
            (largest, detectable) = (largest.max(t.abs()), detectable.min(comparison.detectable()));
        }
        (largest, detectable)
    }
}

/// Returns the duration in microseconds.
fn ask(wire: &mut Wire, email: &str) -> f64 {
    let body = json!({"email": email}).to_string();
    let request = format!(
        "POST /password-resets HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
         content-type: application/json\r\n\r\n{body}",
        body.len()
    );
    let begin = Instant::now();
    let response = wire.exchange(request);
    let duration = begin.elapsed().as_secs_f64() * 1e6;
    response.expect(202);
    duration
}

/// The short form runs on a busy machine, so it compares nothing: it only checks that a mail server
/// that refuses every mail delays no response.
fn compare(part: &'static str, others: &[(&str, &str)]) {
    let mut budget = Budget::new(part, 1);
    let mut rng = Rng::new(budget.seed());
    let answer = if budget.is_long() { "250 ok" } else { "451 later" };
    let server = SmtpServer::start(SmtpTls::None, answer);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let mail = [
        ("SMTP_URL", url.as_str()),
        ("MAIL_FROM", "no-reply@example.net"),
        ("PUBLIC_URL", "https://posts.example.net"),
    ];
    let service = Service::start(&[&mail[..], others].concat());
    let mut kinds = Kinds::new(&service, &mut rng);
    if !budget.is_long() {
        budget.next_round();
        return kinds.measure(&service, &server, 50, &mut rng);
    }
    let _turn = ONE_AT_A_TIME.lock();
    let count = 2 * usize::try_from(read("STRESS_PAIRS").unwrap_or(10_000)).unwrap();
    let (mut largest, mut detectable) = (0_f64, 0_f64);
    while budget.next_round().is_some() {
        kinds.measure(&service, &server, count, &mut rng);
        let batch = kinds.assert_indistinguishable(&budget.name_round());
        (largest, detectable) = (largest.max(batch.0), detectable.max(batch.1));
    }
    budget.report("requests in a batch", count);
    budget.report("batches", budget.rounds());
    budget.report("largest |t| of a batch (bound 4.5)", format!("{largest:.2}"));
    budget.report("difference in µs that every batch would have shown", format!("{detectable:.1}"));
    budget.report("median of a request in µs", format!("{:.0}", median(&kinds.durations[1])));
}

#[test]
fn password_reset_time_does_not_reveal_accounts_on_sqlite() {
    compare("reset timing, embedded", &[]);
}

#[test]
fn password_reset_time_does_not_reveal_accounts_on_postgresql() {
    let database = Cluster::shared().database();
    compare("reset timing, PostgreSQL", &[("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)]);
}
