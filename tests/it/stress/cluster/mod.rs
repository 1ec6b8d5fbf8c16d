//! Patroni replaces the primary, again and again, while two processes of the service read and
//! write. The database keeps every acknowledged write, and no read is older than a write that was
//! acknowledged before it.
//!
//! The first process has the addresses of all nodes, the second one that of `HAProxy`.
//! `scripts/stress` runs these tests, because they need Patroni, etcd and `HAProxy`. Not here: a
//! failover without a manager, see `faults/failover.rs`.

mod clients;
mod elections;
mod history;
mod http;
mod patroni;
mod programs;
mod trial;

use std::time::Instant;

use self::patroni::{Patroni, wait_until};
use self::trial::Trial;

/// The processes of the service.
const DIRECT: usize = 0;
const PROXIED: usize = 1;

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn switchover_loses_no_write_and_no_request() {
    Trial::new("cluster, switchover").run(|trial| {
        let begin = Instant::now();
        trial.patroni.switch_over();
        let election = trial.elections.wait_after(begin);
        trial.clients.progress(&[DIRECT, PROXIED]);
        trial.record(begin, Some(election));
        trial.assert_no_failure();
    });
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn kill_of_postgresql_loses_no_write() {
    Trial::new("cluster, kill of PostgreSQL").run(|trial| {
        let (begin, leader) = (Instant::now(), trial.patroni.settle());
        trial.patroni.kill_server(leader);
        let election = trial.elections.wait_after(begin);
        trial.clients.progress(&[DIRECT, PROXIED]);
        trial.record(begin, Some(election));
    });
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn death_of_a_node_loses_no_write() {
    Trial::new("cluster, death of a node").run(|trial| {
        let (begin, leader) = (Instant::now(), trial.patroni.settle());
        trial.patroni.kill_node(leader);
        let election = trial.elections.wait_after(begin);
        trial.clients.progress(&[DIRECT, PROXIED]);
        trial.record(begin, Some(election));
        trial.patroni.start_node(leader);
    });
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn frozen_node_first_in_the_url_loses_no_write() {
    Trial::new("cluster, frozen node first in the URL").run(|trial| {
        let leader = trial.patroni.settle();
        freeze(trial, leader, [leader, (leader + 1) % 3, (leader + 2) % 3]);
    });
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn frozen_node_last_in_the_url_loses_no_write() {
    Trial::new("cluster, frozen node last in the URL").run(|trial| {
        let leader = trial.patroni.settle();
        freeze(trial, leader, [(leader + 1) % 3, (leader + 2) % 3, leader]);
    });
}

fn freeze(trial: &mut Trial, leader: usize, order: [usize; 3]) {
    trial.restart_direct(order);
    let begin = Instant::now();
    trial.patroni.freeze(leader);
    let election = trial.elections.wait_after(begin);
    trial.clients.progress(&[DIRECT, PROXIED]);
    trial.record(begin, Some(election));
    trial.patroni.thaw(leader);
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn kill_of_patroni_behind_haproxy_loses_no_write() {
    // Without a watchdog, HAProxy keeps the clients from the former primary. The direct process has
    // two primaries for a while.
    let trial = Trial::new("cluster, kill of Patroni behind HAProxy");
    trial.with_two_primaries().run(kill_manager);
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn kill_of_patroni_gives_no_stale_read_if_reads_are_confirmed() {
    // Also the process with the addresses of both primaries must give no stale read.
    let settings = &[("DATABASE_CONFIRM_READS", "on")];
    Trial::with("cluster, kill of Patroni, confirmed reads", settings).run(kill_manager);
}

/// Two primaries exist from the election until Patroni runs again.
fn kill_manager(trial: &mut Trial) {
    let (begin, leader) = (Instant::now(), trial.patroni.settle());
    trial.patroni.kill_manager(leader);
    let election = trial.elections.wait_after(begin);
    for _ in 0..10 {
        trial.clients.progress(&[PROXIED]);
    }
    trial.record(begin, Some(election));
    trial.patroni.start_node(leader);
}

#[test]
#[ignore = "needs Patroni, etcd and HAProxy"]
fn loss_of_etcd_in_failsafe_mode_is_not_noticed() {
    Trial::new("cluster, etcd away in failsafe mode").run(|trial| {
        let (begin, leader) = (Instant::now(), trial.patroni.settle());
        let before = trial.patroni.failsafe_rounds(leader);
        trial.patroni.kill_etcd();
        wait_until("the leader has continued for longer than its lease", || {
            trial.patroni.failsafe_rounds(leader) >= before + Patroni::rounds_of_ttl()
        });
        trial.clients.progress(&[DIRECT, PROXIED]);
        trial.record(begin, None);
        trial.assert_no_failure();
        trial.patroni.start_etcd();
    });
}
