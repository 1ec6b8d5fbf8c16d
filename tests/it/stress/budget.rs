//! The time of a stress test, the seeds of its choices, and the report of its figures.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// The rounds of a stress test. `STRESS_SECONDS` sets its time; without it the test runs a fixed
/// number of rounds. Every round has its own seed. The first is `STRESS_SEED`, which a failure
/// prints, or else a random one.
pub struct Budget {
    part: &'static str,
    end: End,
    done: u64,
    seed: u64,
}

enum End {
    At(Instant),
    After(u64),
}

impl Budget {
    /// Runs this many rounds if no time is set.
    pub fn new(part: &'static str, rounds: u64) -> Self {
        let end = match read("STRESS_SECONDS") {
            Some(seconds) => End::At(Instant::now() + Duration::from_secs(seconds)),
            None => End::After(rounds),
        };
        let seed = read("STRESS_SEED").unwrap_or_else(|| getrandom::u64().unwrap() >> 1);
        Self { part, end, done: 0, seed }
    }

    /// Returns the seed of the next round, or `None` after the last. There is at least one round.
    pub fn next_round(&mut self) -> Option<u64> {
        let is_left = match self.end {
            End::At(end) => self.done == 0 || Instant::now() < end,
            End::After(rounds) => self.done < rounds,
        };
        if !is_left {
            return None;
        }
        let seed = self.seed.wrapping_add(self.done);
        self.done += 1;
        print_line(&format!("{}: STRESS_SEED={seed} starts with this round", self.part));
        Some(seed)
    }

    /// Returns whether a time is set.
    pub fn is_long(&self) -> bool {
        matches!(self.end, End::At(_))
    }

    /// Returns `long` if a time is set, else `short`.
    pub fn size(&self, short: usize, long: usize) -> usize {
        if self.is_long() { long } else { short }
    }

    /// Returns the seed and the number of this round, for the message of a failure.
    pub fn name_round(&self) -> String {
        format!("{}: STRESS_SEED={}, round {}", self.part, self.seed, self.done)
    }

    /// Returns the seed of all choices, for a test whose rounds build on each other.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn rounds(&self) -> u64 {
        self.done
    }

    /// Prints the figure. If `STRESS_FIGURES` names a file, appends a line to it: the part, the
    /// name, the figure.
    pub fn report(&self, name: &str, figure: impl Display) {
        print_line(&format!("{}: {name}: {figure}", self.part));
        let Some(path) = std::env::var_os("STRESS_FIGURES") else { return };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        // One write, so that concurrent parts do not mix their lines.
        file.write_all(format!("{}\t{name}\t{figure}\n", self.part).as_bytes()).unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the harness shows it when the test fails")]
fn print_line(line: &str) {
    println!("{line}");
}

/// Reads a number from the environment, and panics if the value is not a number.
pub(super) fn read(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}
