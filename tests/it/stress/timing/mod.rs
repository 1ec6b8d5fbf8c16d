//! Tests whether the time of a rejected login reveals accounts: unknown e-mails against wrong
//! passwords, in random order on one connection to the service.
//!
//! The short form runs together with all other tests, on a busy machine. It only detects a missing
//! hash. The long form measures batches of `STRESS_PAIRS` pairs (10,000) until its time is over, at
//! least one, and compares them by statistics. More time means more batches, not larger ones: with
//! enough pairs any two paths differ, and the guarantee is about one batch. A batch is compared in
//! three ways, so it fails by chance in at most three of 150,000 cases. It reports the smallest
//! difference that it would have shown, which is larger on a noisy machine.
//!
//! One difference remains: the store reads the row of an account. In a debug build that takes three
//! or four microseconds. This is less than a batch shows even with hashes of 1 MiB, and less than a
//! hundredth of a percent of a login with the hashes of a new installation.
//!
//! Not here: accounts with hashes of older parameters. Their login verifies the old hash in
//! addition, which cannot be hidden. The test only checks that it is not faster.

mod password_resets;
mod statistics;

use std::sync::Mutex;
use std::time::Instant;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rusqlite::Connection;
use serde_json::json;

use self::statistics::{Comparison, T_BOUND, median};
use super::budget::{Budget, read};
use super::rng::Rng;
use crate::support::{Cluster, PASSWORD, Service, Wire};

const KEY: &str = "5e0d9b7c31a84f26b0c7de95a1f3628d";

/// E-mails of each kind, so that the result does not depend on a single e-mail.
const EMAILS_PER_KIND: usize = 16;

/// One of this many rounds includes accounts with older hashes.
const OLDER_HASH_EVERY: usize = 8;

/// Rounds before those that are measured.
const WARM_UP_ROUNDS: usize = 20;

type Argon2Params = [(&'static str, &'static str); 3];

const fn argon2_params(
    memory: &'static str,
    passes: &'static str,
    lanes: &'static str,
) -> Argon2Params {
    [("ARGON2_MEMORY_KIB", memory), ("ARGON2_ITERATIONS", passes), ("ARGON2_PARALLELISM", lanes)]
}

/// Expensive enough to dominate the rest of a login on a busy machine.
const EXPENSIVE: Argon2Params = argon2_params("16384", "1", "1");

/// Cheap enough not to hide the rest of a login.
const CHEAP: Argon2Params = argon2_params("1024", "1", "1");

/// The default of a new installation.
const DEFAULT: Argon2Params = argon2_params("65536", "3", "4");

/// Rejected logins of one kind: their e-mails, and their durations in microseconds.
struct Kind {
    emails: Vec<String>,
    durations: Vec<f64>,
}

impl Kind {
    fn generate(rng: &mut Rng) -> Self {
        let email = |_| format!("{:016x}@example.com", rng.next());
        Self { emails: (0..EMAILS_PER_KIND).map(email).collect(), durations: Vec::new() }
    }

    fn sign_up(self, service: &Service) -> Self {
        for email in &self.emails {
            let account = json!({"email": email, "password": PASSWORD});
            service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        }
        self
    }

    /// Sets the hash of the accounts.
    fn with_hash(self, hash: &str, execute: &dyn Fn(&str)) -> Self {
        let emails = self.emails.join("', '");
        execute(&format!("UPDATE users SET password = '{hash}' WHERE email IN ('{emails}')"));
        self
    }

    fn measure(&mut self, wire: &mut Wire, rng: &mut Rng) {
        let form = format!("username={}&password=not+the+password", rng.pick(&self.emails));
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        let begin = Instant::now();
        let response = wire.exchange(request);
        self.durations.push(begin.elapsed().as_secs_f64() * 1e6);
        response.expect(403);
    }
}

struct Kinds {
    unknown: Kind,
    wrong: Kind,
    /// Accounts with hashes of other parameters.
    older: [Kind; 2],
}

impl Kinds {
    fn new(service: &Service, execute: &dyn Fn(&str), rng: &mut Rng) -> Self {
        let mut account = || Kind::generate(rng).sign_up(service);
        let (wrong, argon2, bcrypt) = (account(), account(), account());
        let hash = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().to_string();
        Self {
            wrong,
            older: [
                argon2.with_hash(&hash_with_half_a_mebibyte(), execute),
                bcrypt.with_hash(&hash, execute),
            ],
            unknown: Kind::generate(rng),
        }
    }

    /// Measures logins of both kinds in random order, and sometimes of accounts with older hashes.
    fn measure(&mut self, service: &Service, pairs: usize, rng: &mut Rng) {
        let wire = &mut service.connect();
        let [argon2, bcrypt] = &mut self.older;
        let mut kinds = [&mut self.unknown, &mut self.wrong, argon2, bcrypt];
        for round in 0..pairs + WARM_UP_ROUNDS {
            if round == WARM_UP_ROUNDS {
                for kind in &mut kinds {
                    kind.durations.clear();
                }
            }
            let of_a_round =
                if round % OLDER_HASH_EVERY == 0 { &mut kinds[..] } else { &mut kinds[..2] };
            let mut order: Vec<usize> = (0..of_a_round.len()).collect();
            rng.shuffle(&mut order);
            for index in order {
                of_a_round[index].measure(wire, rng);
            }
        }
    }

    /// Checks that an unknown e-mail takes as long as a wrong password, within a factor of two. Other
    /// work of the machine makes a login slower, never faster, so the fastest ones are compared.
    fn assert_hashed(&self, seed: &str) {
        let fastest = |kind: &Kind| kind.durations.iter().copied().fold(f64::INFINITY, f64::min);
        let (unknown, wrong) = (fastest(&self.unknown), fastest(&self.wrong));
        let context = format!("{seed}: unknown {unknown:.0} µs, wrong password {wrong:.0} µs");
        assert!(unknown * 2.0 > wrong && wrong * 2.0 > unknown, "{context}");
        for older in &self.older {
            let older = fastest(older);
            assert!(older * 2.0 > unknown, "{context}, older hash {older:.0} µs");
        }
    }

    /// Checks that a batch does not distinguish the two kinds, and that an older hash is never
    /// faster. Returns the largest |t|, and the smallest difference that would have failed.
    fn assert_indistinguishable(&self, seed: &str) -> (f64, f64) {
        let (unknown, wrong) = (&self.unknown.durations, &self.wrong.durations);
        let (mut largest, mut detectable) = (0_f64, f64::INFINITY);
        for comparison in Comparison::all(unknown, wrong) {
            let (t, difference) = (comparison.t(), comparison.difference);
            assert!(t.abs() < T_BOUND, "{seed}: t = {t:.2} ({difference:+.2} µs)");
            (largest, detectable) = (largest.max(t.abs()), detectable.min(comparison.detectable()));
        }
        for older in &self.older {
            // If an older hash is much slower, cropping may leave no sample: then t is NaN, which
            // passes.
            let comparisons = Comparison::all(unknown, &older.durations);
            let is_faster = comparisons.into_iter().any(|comparison| comparison.t() >= T_BOUND);
            assert!(!is_faster, "{seed}: an older hash is faster: {comparisons:?}");
        }
        (largest, detectable)
    }
}

fn hash_with_half_a_mebibyte() -> String {
    let parameters = Params::new(512, 1, 1, Some(32)).unwrap();
    let mut output = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(PASSWORD.as_bytes(), b"salt of sixteen.", &mut output)
        .unwrap();
    let [salt, output] =
        [&b"salt of sixteen."[..], &output].map(|part| STANDARD_NO_PAD.encode(part));
    format!("$argon2id$v=19$m=512,t=1,p=1${salt}${output}")
}

/// The stores are measured one after the other, as each would disturb the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Compares logins on a service with its own database, which `execute` changes directly.
fn compare(
    mut budget: Budget,
    start: impl Fn(Argon2Params) -> Service,
    execute: &dyn Fn(&Service, &str),
) {
    let mut rng = Rng::new(budget.seed());
    let mut with = |argon2_params, use_service: &mut dyn FnMut(&Service, &mut Kinds, &mut Rng)| {
        let service = start(argon2_params);
        let mut kinds = Kinds::new(&service, &|sql| execute(&service, sql), &mut rng);
        use_service(&service, &mut kinds, &mut rng);
    };
    if !budget.is_long() {
        budget.next_round();
        return with(EXPENSIVE, &mut |service, kinds, rng| {
            kinds.measure(service, 25, rng);
            kinds.assert_hashed(&budget.name_round());
        });
    }
    let _turn = ONE_AT_A_TIME.lock();
    let pairs = usize::try_from(read("STRESS_PAIRS").unwrap_or(10_000)).unwrap();
    with(CHEAP, &mut |service, kinds, rng| {
        compare_batches(&mut budget, service, kinds, pairs, rng);
    });
    with(DEFAULT, &mut |service, kinds, rng| {
        let pairs = pairs.div_ceil(100);
        kinds.measure(service, pairs, rng);
        let (t, detectable) = kinds.assert_indistinguishable(&budget.name_round());
        budget.report("pairs with the hashes of a new installation", pairs);
        budget.report("largest |t| with these hashes", format!("{t:.2}"));
        budget.report("difference in µs that they would have shown", format!("{detectable:.0}"));
    });
}

fn compare_batches(
    budget: &mut Budget,
    service: &Service,
    kinds: &mut Kinds,
    pairs: usize,
    rng: &mut Rng,
) {
    let (mut largest, mut detectable) = (0_f64, 0_f64);
    let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
    while budget.next_round().is_some() {
        kinds.measure(service, pairs, rng);
        let batch = kinds.assert_indistinguishable(&budget.name_round());
        (largest, detectable) = (largest.max(batch.0), detectable.max(batch.1));
        unknown.extend_from_slice(&kinds.unknown.durations);
        wrong.extend_from_slice(&kinds.wrong.durations);
    }
    budget.report("pairs in a batch, hashes of 1 MiB", pairs);
    budget.report("batches", budget.rounds());
    budget.report("largest |t| of a batch (bound 4.5)", format!("{largest:.2}"));
    budget.report("difference in µs that every batch would have shown", format!("{detectable:.1}"));
    let names = ["all batches", "all batches, nine tenths", "all batches, faster half"];
    for (name, all) in names.into_iter().zip(Comparison::all(&unknown, &wrong)) {
        let (t, difference, detectable) = (all.t(), all.difference, all.detectable());
        budget.report(name, format!("t = {t:.2}, {difference:+.2} µs, detects {detectable:.2} µs"));
    }
    budget.report("median of a rejected login in µs", format!("{:.0}", median(&wrong)));
    for (name, older) in ["Argon2 with 512 KiB", "bcrypt, cost 4"].iter().zip(&kinds.older) {
        let name = format!("median with an older hash ({name}) in µs");
        budget.report(&name, format!("{:.0}", median(&older.durations)));
    }
}

#[test]
fn rejected_login_time_does_not_reveal_accounts_on_sqlite() {
    compare(
        Budget::new("login timing, embedded", 1),
        |argon2_params| Service::start(&argon2_params),
        &|service, sql| {
            let database = Connection::open(service.path().join("data/posts.db")).unwrap();
            database.execute_batch(sql).unwrap();
        },
    );
}

#[test]
fn rejected_login_time_does_not_reveal_accounts_on_postgresql() {
    let database = Cluster::shared().database();
    let start = |argon2_params: Argon2Params| {
        let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
        Service::start(&[&settings[..], &argon2_params].concat())
    };
    compare(Budget::new("login timing, PostgreSQL", 1), start, &|_, sql| database.execute(sql));
}
