//! An attacker tries passwords, from one client IP and then from thousands, in the long form at the
//! default hash cost. Rejected attempts cause no hash, well-behaved clients are not affected, and the owner
//! can log in from a client IP without failures.

use std::time::{Duration, Instant};

use super::MIB;
use super::process_watch::ProcessWatch;
use super::well_behaved::{WellBehavedClient, describe};
use crate::stress::budget::Budget;
use crate::support::{PASSWORD, Service, Wire};

/// Rate limits behind a proxy that forwards the client IP. The periods are the longest possible, so
/// that on a slow machine no attempt becomes free again meanwhile.
const SETTINGS: [(&str, &str); 6] = [
    ("RATE_LIMITS", "on"),
    ("RATE_LIMIT_LOGIN_IP", "20/24h"),
    ("RATE_LIMIT_LOGIN_LOCKED", "5/24h"),
    // Half of the default, as each attempt is a hash.
    ("RATE_LIMIT_LOGIN_ACCOUNT", "150/24h"),
    // The well-behaved client writes faster than people do.
    ("RATE_LIMIT_WRITES", "off"),
    ("TRUSTED_PROXIES", "127.0.0.1"),
];

/// The default hash cost, and one with the memory of a short form.
const DEFAULT_COST: [(&str, &str); 3] =
    [("ARGON2_MEMORY_KIB", "65536"), ("ARGON2_ITERATIONS", "3"), ("ARGON2_PARALLELISM", "4")];
const SHORT_COST: [(&str, &str); 3] =
    [("ARGON2_MEMORY_KIB", "8192"), ("ARGON2_ITERATIONS", "1"), ("ARGON2_PARALLELISM", "1")];

/// Consecutive wrong passwords that lock an account, and the attempts per client IP afterwards.
const LOCKOUT_THRESHOLD: usize = 100;
const LOCKED_ATTEMPTS_PER_IP: usize = 5;

/// Attempts for the account, from all client IPs, and the seconds after which there is one more.
const ACCOUNT_LIMIT: usize = 150;
const SECONDS_PER_ATTEMPT: usize = 24 * 60 * 60 / ACCOUNT_LIMIT;

/// Attempts of one client IP, for all accounts.
const IP_LIMIT: usize = 20;

#[derive(Default)]
struct Times {
    wrong: Vec<Duration>,
    rejected: Vec<Duration>,
}

impl Times {
    /// Tries a wrong password from the client IP, and returns whether it was verified.
    fn guess(&mut self, wire: &mut Wire, client: &str) -> bool {
        let (status, time) = log_in(wire, client, "a wrong one");
        match status {
            403 => self.wrong.push(time),
            429 => self.rejected.push(time),
            status => panic!("{status} from {client}"),
        }
        status == 403
    }
}

fn log_in(wire: &mut Wire, client: &str, password: &str) -> (u16, Duration) {
    let password = password.replace(' ', "+");
    let form = format!("username=client@example.com&password={password}");
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    let start = Instant::now();
    let response = wire.exchange(request);
    (response.status.as_u16(), start.elapsed())
}

/// Returns one of 65,536 client IPs.
fn client_ip(number: usize) -> String {
    let [.., high, low] = u32::try_from(number).unwrap().to_be_bytes();
    format!("100.64.{high}.{low}")
}

#[test]
fn guessing_is_limited_and_the_owner_can_log_in() {
    let mut budget = Budget::new("guessing", 1);
    let mut times = Times::default();
    let (mut verified_in_total, mut round) = (0, 0);
    while budget.next_round().is_some() {
        round += 1;
        let start = Instant::now();
        let (cost, hash) =
            if budget.is_long() { (DEFAULT_COST, 64 * MIB) } else { (SHORT_COST, 8 * MIB) };
        let service = Service::start(&[&SETTINGS[..], &cost].concat());
        let mut client = WellBehavedClient::sign_up(&service, "client");
        let watch = ProcessWatch::start(&service);
        let before = times.wrong.len();
        client.run_during(|progress| {
            let mut wire = service.connect();
            for number in 0..IP_LIMIT + 200 {
                assert_eq!(times.guess(&mut wire, "198.51.100.1"), number < IP_LIMIT, "{number}");
            }
            // One attempt from each of many client IPs, until the account is locked; then more from
            // one of them.
            for number in 0..LOCKOUT_THRESHOLD - IP_LIMIT {
                assert!(times.guess(&mut wire, &client_ip(number)), "{number}");
            }
            for number in 1..LOCKED_ATTEMPTS_PER_IP + 5 {
                assert_eq!(
                    times.guess(&mut wire, &client_ip(0)),
                    number < LOCKED_ATTEMPTS_PER_IP,
                    "{number}"
                );
            }
            assert_eq!(
                log_in(&mut wire, "203.0.113.1", PASSWORD).0,
                200,
                "the owner, from another client IP"
            );
            let thousands = budget.size(2000, 60_000);
            let verified =
                (0..thousands).filter(|number| times.guess(&mut wire, &client_ip(1000 + number)));
            verified.count();
            progress.wait_for_responses(50);
        });
        let verified = times.wrong.len() - before;
        let elapsed = usize::try_from(start.elapsed().as_secs()).unwrap();
        let at_most = ACCOUNT_LIMIT + 1 + elapsed / SECONDS_PER_ATTEMPT;
        assert!((ACCOUNT_LIMIT..=at_most).contains(&verified), "{verified} in {elapsed} s");
        verified_in_total += verified;
        for known in ["127.0.0.1", "203.0.113.1"] {
            let (status, _) = log_in(&mut service.connect(), known, PASSWORD);
            assert_eq!(status, 200, "{known}, {}", budget.name_round());
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let limit = hash * u64::try_from(cores).unwrap() + 64 * MIB;
        watch.assert_growth_below(limit, &budget.name_round());
        budget.report("responses to others meanwhile", client.describe());
        budget.report("MiB", watch.describe());
    }
    budget.report("accounts attacked", round);
    budget.report("passwords verified", verified_in_total);
    budget.report("wrong passwords", describe(&times.wrong));
    budget.report("rejected without a hash", describe(&times.rejected));
}
