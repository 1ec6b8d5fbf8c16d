//! Two things measured in turn, in rounds: what the machine does meanwhile happens to both, and the
//! ratio of a round says more than its numbers.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::load::Outcome;

/// One side in one round.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub figure: f64,
}

/// In microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub median: u64,
    pub p99: u64,
    pub longest: u64,
}

impl Reading {
    pub fn of(figure: f64) -> Self {
        Self { figure }
    }

    /// Requests a second. One wrong answer makes the measurement void.
    pub fn throughput(outcome: &Outcome) -> Result<Self> {
        Self::checked(outcome, outcome.per_second)
    }

    /// The time within which 99 of 100 requests are answered.
    pub fn p99(outcome: &Outcome) -> Result<Self> {
        Self::checked(outcome, f64::from(u32::try_from(Times::of(outcome).p99)?))
    }

    fn checked(outcome: &Outcome, figure: f64) -> Result<Self> {
        if outcome.errors > 0 || outcome.answers == 0 {
            bail!("{} answers, {} errors", outcome.answers, outcome.errors);
        }
        Ok(Self { figure })
    }
}

impl Times {
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            median: outcome.quantile(0.5),
            p99: outcome.quantile(0.99),
            longest: outcome.quantile(1.0),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

/// How long a comparison goes on.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Of each side in a round.
    pub time: Duration,
}

pub struct Comparison {
    pub work: String,
    pub against: String,
    /// What the figures are: requests a second, microseconds.
    pub unit: &'static str,
    pub goal: Goal,
    pub ours: Vec<Reading>,
    pub theirs: Vec<Reading>,
}

impl Comparison {
    pub fn ratios(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.theirs);
        let mut ratios: Vec<f64> =
            pairs.map(|(ours, theirs)| ours.figure / theirs.figure).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    pub fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    pub fn is_met(&self) -> bool {
        self.goal.is_met(self.ratio())
    }
}

/// The figure in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn median_of(readings: &[Reading]) -> f64 {
    median(readings.iter().map(|reading| reading.figure).collect())
}

/// A side, which measures for the time that it is given.
pub type Side<'a> = &'a mut dyn FnMut(Duration) -> Result<Reading>;

/// Measures both in turn, after a short round that warms both and does not count.
pub fn compare(
    effort: Effort,
    (work, ours): (&str, Side<'_>),
    (against, theirs): (&str, Side<'_>),
    (unit, goal): (&'static str, Goal),
) -> Result<Comparison> {
    let mut comparison = Comparison {
        work: work.to_owned(),
        against: against.to_owned(),
        unit,
        goal,
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    ours(effort.time / 2)?;
    theirs(effort.time / 2)?;
    for _ in 0..effort.rounds {
        comparison.ours.push(ours(effort.time)?);
        comparison.theirs.push(theirs(effort.time)?);
    }
    Ok(comparison)
}
