//! Compares the service with a baseline. Both are measured alternately, in rounds: other load on
//! the machine then affects both sides, so the ratio of a round is more reliable than its two
//! values.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::load::Outcome;

/// The value of one side in one round.
#[derive(Debug, Clone, Copy)]
pub struct Measurement {
    pub value: f64,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Percentiles {
    pub median: u64,
    pub p99: u64,
    pub max: u64,
}

impl Measurement {
    pub fn new(value: f64) -> Self {
        Self { value }
    }

    /// Returns the requests per second.
    ///
    /// # Errors
    /// If there was no response, or one wrong response: the measurement is then invalid.
    pub fn throughput(outcome: &Outcome) -> Result<Self> {
        Self::checked(outcome, outcome.per_second)
    }

    /// Returns the 99th percentile of the latency, in microseconds.
    ///
    /// # Errors
    /// As [`Self::throughput`].
    pub fn p99(outcome: &Outcome) -> Result<Self> {
        Self::checked(outcome, f64::from(u32::try_from(Percentiles::new(outcome).p99)?))
    }

    fn checked(outcome: &Outcome, value: f64) -> Result<Self> {
        if outcome.errors > 0 || outcome.responses == 0 {
            bail!(
                "invalid measurement: {} responses, {} errors",
                outcome.responses,
                outcome.errors
            );
        }
        Ok(Self { value })
    }
}

impl Percentiles {
    pub fn new(outcome: &Outcome) -> Self {
        Self {
            median: outcome.quantile(0.5),
            p99: outcome.quantile(0.99),
            max: outcome.quantile(1.0),
        }
    }
}

/// The bound that the ratio of service to baseline must keep.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(min) => ratio >= min,
            Self::AtMost(max) => ratio <= max,
        }
    }
}

/// The number and length of the rounds of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub rounds: usize,
    /// The time of each side in a round.
    pub time: Duration,
}

pub struct Comparison {
    /// The operation and its store.
    pub name: String,
    /// The baseline that the service is compared with.
    pub baseline: String,
    /// The unit of the values, written behind them: `/s`, ` µs`, ` MiB`.
    pub unit: &'static str,
    pub goal: Goal,
    pub service_values: Vec<Measurement>,
    pub baseline_values: Vec<Measurement>,
}

impl Comparison {
    /// Returns the ratio of each round, in ascending order.
    pub fn ratios(&self) -> Vec<f64> {
        let pairs = self.service_values.iter().zip(&self.baseline_values);
        let mut ratios: Vec<f64> =
            pairs.map(|(service, baseline)| service.value / baseline.value).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// Returns the median of the ratios.
    pub fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    pub fn is_met(&self) -> bool {
        self.goal.is_met(self.ratio())
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn median_of(measurements: &[Measurement]) -> f64 {
    median(measurements.iter().map(|measurement| measurement.value).collect())
}

/// Measures one side for the given time.
pub type MeasureFn<'a> = &'a mut dyn FnMut(Duration) -> Result<Measurement>;

/// Measures both sides alternately, after a short warm-up whose values are dropped.
pub fn compare(
    schedule: Schedule,
    (name, measure_service): (&str, MeasureFn<'_>),
    (baseline, measure_baseline): (&str, MeasureFn<'_>),
    (unit, goal): (&'static str, Goal),
) -> Result<Comparison> {
    let mut comparison = Comparison {
        name: name.to_owned(),
        baseline: baseline.to_owned(),
        unit,
        goal,
        service_values: Vec::new(),
        baseline_values: Vec::new(),
    };
    measure_service(schedule.time / 2)?;
    measure_baseline(schedule.time / 2)?;
    for _ in 0..schedule.rounds {
        comparison.service_values.push(measure_service(schedule.time)?);
        comparison.baseline_values.push(measure_baseline(schedule.time)?);
    }
    Ok(comparison)
}
