//! How long a proof goes on, what its choices come from, and where its figures go.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Rounds of a proof: `STRESS_SECONDS` sets its time, else it takes a number of rounds. Every round
/// has a seed of its own; the first is `STRESS_SEED`, which a failure names, or else differs from
/// run to run.
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
    /// This many rounds where no time is set.
    pub fn new(part: &'static str, rounds: u64) -> Self {
        let end = match read("STRESS_SECONDS") {
            Some(seconds) => End::At(Instant::now() + Duration::from_secs(seconds)),
            None => End::After(rounds),
        };
        let seed = read("STRESS_SEED").unwrap_or_else(|| getrandom::u64().unwrap() >> 1);
        Self { part, end, done: 0, seed }
    }

    /// The seed of the next round, unless it was the last. One round there always is.
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
        print_line(&format!("{}: STRESS_SEED={seed} goes through this round first", self.part));
        Some(seed)
    }

    /// Whether a time is set.
    pub fn is_long(&self) -> bool {
        matches!(self.end, End::At(_))
    }

    /// How much of something: in a short form this, in one that was told its time that.
    pub fn size(&self, short: usize, long: usize) -> usize {
        if self.is_long() { long } else { short }
    }

    /// How this round can be had again, for a failure to say.
    pub fn name_round(&self) -> String {
        format!("{}: STRESS_SEED={}, round {}", self.part, self.seed, self.done)
    }

    /// What all its choices come from, for a proof whose rounds go on from each other.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn rounds(&self) -> u64 {
        self.done
    }

    /// Adds a line to the file that `STRESS_FIGURES` names, if it does: the part, the figure's name,
    /// the figure.
    pub fn report(&self, name: &str, figure: impl Display) {
        print_line(&format!("{}: {name}: {figure}", self.part));
        let Some(path) = std::env::var_os("STRESS_FIGURES") else { return };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        // One write, so that parts that run side by side do not mix their lines.
        file.write_all(format!("{}\t{name}\t{figure}\n", self.part).as_bytes()).unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the harness shows it when the test fails")]
fn print_line(line: &str) {
    println!("{line}");
}

/// A number from the environment; what is no number is a mistake of the caller.
pub(super) fn read(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}
