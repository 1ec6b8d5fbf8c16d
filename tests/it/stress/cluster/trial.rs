//! The rounds of one event: a cluster, two processes of the service, their clients, and the figures.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::clients::{Clients, WRITERS};
use super::elections::Elections;
use super::history::Round;
use super::patroni::{NODES, Patroni};
use super::{DIRECT, PROXIED};
use crate::stress::budget::Budget;
use crate::support::{Service, query};

/// Signs the tokens of both processes.
const KEY: &str = "1f0e7c95d2ab4836807bce19fd2a6543";

/// Names and values of settings of the service.
type Settings = &'static [(&'static str, &'static str)];

const NAMES: [&str; 2] = ["all hosts in the URL", "HAProxy"];

pub(super) struct Trial {
    budget: Budget,
    // Before the cluster, so that the clients end first.
    pub(super) clients: Clients,
    services: [Service; 2],
    pub(super) elections: Elections,
    pub(super) patroni: Patroni,
    folder: TempDir,
    /// For each process, the rounds so far.
    rounds: [Vec<Round>; 2],
    settings: Settings,
    has_two_primaries: bool,
}

impl Trial {
    pub(super) fn new(part: &'static str) -> Self {
        Self::with(part, &[])
    }

    /// Starts both processes with these settings.
    pub(super) fn with(part: &'static str, settings: Settings) -> Self {
        let budget = Budget::new(part, 1);
        let folder = TempDir::new().unwrap();
        let patroni = Patroni::start();
        let direct = start(&folder, &patroni.url([0, 1, 2]), settings);
        let proxied = start(&folder, &patroni.proxy_url(), settings);
        Self {
            budget,
            clients: Clients::start([&direct, &proxied]),
            services: [direct, proxied],
            elections: Elections::watch(patroni.watched()),
            patroni,
            folder,
            rounds: Default::default(),
            settings,
            has_two_primaries: false,
        }
    }

    /// The process with all hosts may read from a former primary.
    pub(super) fn with_two_primaries(mut self) -> Self {
        self.has_two_primaries = true;
        self
    }

    /// Runs the event in each round. After each, waits until the cluster is whole and compares its
    /// rows.
    pub(super) fn run(mut self, event: impl Fn(&mut Self)) {
        while self.budget.next_round().is_some() {
            self.patroni.settle();
            self.clients.progress(&[DIRECT, PROXIED]);
            event(&mut self);
            let leader = self.patroni.settle();
            self.clients.progress(&[DIRECT, PROXIED]);
            self.check(leader);
        }
        self.report();
    }

    /// Starts the first process again, with the hosts in this order.
    pub(super) fn restart_direct(&mut self, order: [usize; NODES]) {
        let service = start(&self.folder, &self.patroni.url(order), self.settings);
        self.clients.replace(DIRECT, &service);
        self.services[DIRECT] = service;
        self.clients.progress(&[DIRECT]);
    }

    /// Keeps the figures of a round.
    pub(super) fn record(&mut self, begin: Instant, election: Option<Instant>) {
        for (rounds, process) in self.rounds.iter_mut().zip(&self.clients.history().processes) {
            rounds.push(process.round(begin, election));
        }
    }

    /// No read and no write with a key of the last round has failed. Another write can fail if it waited
    /// for the standby when the primary was stopped: at most one of each client.
    pub(super) fn assert_no_failure(&self) {
        let round = self.budget.name_round();
        for ((rounds, service), name) in self.rounds.iter().zip(&self.services).zip(NAMES) {
            let failures = &rounds.last().unwrap().failures;
            let is_repeatable =
                |failure: &&String| failure.starts_with("GET") || failure.contains(" with a key");
            let count = failures.iter().filter(is_repeatable).count();
            let is_right = count == 0 && failures.len() <= WRITERS / 2;
            assert!(is_right, "{round}: {name}: {failures:?}\n{}", service.stderr());
        }
    }

    fn check(&self, leader: usize) {
        let (history, round) = (self.clients.history(), self.budget.name_round());
        let url = self.patroni.node_url(leader);
        let lost = history.find_lost(|sql| query(&url, sql));
        assert!(lost.is_empty(), "{round}: acknowledged, but lost: {lost:?}");
        let wrong = history.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{round}: {wrong:?}");
        for (process, name) in [DIRECT, PROXIED].into_iter().zip(NAMES) {
            let stale = history.processes[process].stale();
            let is_excused = process == DIRECT && self.has_two_primaries;
            assert!(stale.is_empty() || is_excused, "{round}: stale reads, {name}: {stale:?}");
        }
    }

    fn report(&self) {
        let (budget, history) = (&self.budget, self.clients.history());
        budget.report("rounds", budget.rounds());
        for ((rounds, process), name) in self.rounds.iter().zip(&history.processes).zip(NAMES) {
            let report = |figure: &str, value: String| {
                budget.report(&format!("{name}: {figure}"), value);
            };
            report("acknowledged writes, none lost", process.count_writes().to_string());
            report("reads", process.count_reads().to_string());
            report("stale reads", process.stale().len().to_string());
            report("failed requests", list(rounds, |round| round.failures.len().to_string()));
            report("longest time without a write, s", list(rounds, |round| seconds(round.gap)));
            report(
                "first write after the election, s",
                list(rounds, |round| seconds(round.after_election)),
            );
        }
    }
}

fn start(folder: &TempDir, url: &str, settings: Settings) -> Service {
    let mut command = Service::command(folder.path());
    command
        .args(["serve", "--upgrade", "--port", "0"])
        .envs(settings.iter().copied())
        .env("DATABASE_URL", url)
        .env("SECRET_KEY", KEY)
        .env("ACCESS_TOKEN_EXPIRE_MINUTES", "1440");
    Service::run(&mut command, folder.path())
}

fn list(rounds: &[Round], read: impl Fn(&Round) -> String) -> String {
    rounds.iter().map(read).collect::<Vec<_>>().join(" ")
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
