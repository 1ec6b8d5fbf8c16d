//! Decides whether two samples of durations come from the same distribution.
//!
//! The method is Welch's t-test, as in Reparaz, Balasch and Verbauwhede ("Dude, is my code constant
//! time?", DATE 2017). t is the difference of the means in units of its standard error. Equal
//! distributions reach |t| = 4.5 in one of 150,000 comparisons; from there on the samples differ.
//!
//! The paper crops the samples first. Durations have a long upper tail, caused by other processes,
//! and a few such values hide a difference of all others. Values above one bound are removed from
//! both samples. The bound is a quantile of both together, so it favours neither.
//!
//! The paper tries many bounds. Each is another chance of an error, so here there are two: without
//! the slowest tenth, and without the slower half, for a machine that interrupts most logins. The
//! whole samples are compared too, for a difference that shows only in the tail. Cropping removes a
//! part of the difference, and a larger part of the noise.

/// The |t| from which two samples count as different.
pub(super) const T_BOUND: f64 = 4.5;

/// The shares of both samples that are compared.
const SHARES: [f64; 3] = [1.0, 0.9, 0.5];

/// How one sample differs from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    /// The difference of the means; positive if the first takes longer.
    pub(super) difference: f64,
    /// Its standard error.
    error: f64,
}

impl Comparison {
    fn whole(first: &[f64], second: &[f64]) -> Self {
        let error = variance(first) / count(first) + variance(second) / count(second);
        Self { difference: mean(first) - mean(second), error: error.sqrt() }
    }

    /// Compares the whole samples, and the cropped ones.
    pub(super) fn all(first: &[f64], second: &[f64]) -> [Self; 3] {
        SHARES.map(|share| {
            let (first, second) = crop(first, second, share);
            Self::whole(&first, &second)
        })
    }

    pub(super) fn t(self) -> f64 {
        self.difference / self.error
    }

    /// Returns the smallest difference with which such samples reach the bound.
    pub(super) fn detectable(self) -> f64 {
        T_BOUND * self.error
    }
}

/// Keeps the fastest share of both samples together.
fn crop(first: &[f64], second: &[f64], share: f64) -> (Vec<f64>, Vec<f64>) {
    let bound = quantile(&[first, second].concat(), share);
    let keep = |sample: &[f64]| sample.iter().copied().filter(|value| *value <= bound).collect();
    (keep(first), keep(second))
}

pub(super) fn median(sample: &[f64]) -> f64 {
    quantile(sample, 0.5)
}

fn mean(sample: &[f64]) -> f64 {
    sample.iter().sum::<f64>() / count(sample)
}

fn variance(sample: &[f64]) -> f64 {
    let mean = mean(sample);
    let squares: f64 = sample.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (count(sample) - 1.0)
}

/// Returns the smallest value that this share of the sample does not exceed.
fn quantile(sample: &[f64], share: f64) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let is_below = |index: &usize| count(&sorted[..=*index]) < share * count(&sorted);
    let index = (0..sorted.len()).collect::<Vec<_>>().partition_point(is_below);
    sorted[index]
}

fn count(sample: &[f64]) -> f64 {
    f64::from(u32::try_from(sample.len()).unwrap())
}

mod tests {
    use super::{Comparison, T_BOUND, crop, mean, median};
    use crate::stress::rng::Rng;

    /// Returns durations like those of a login: about 1000, with a tail, and some interrupted.
    fn durations(rng: &mut Rng, shift: f64, interrupted: f64) -> Vec<f64> {
        let mut duration = || {
            let mut uniform =
                || f64::from(u32::try_from(rng.below(1 << 32)).unwrap()) / 2_f64.powi(32);
            let tail = -20.0 * (1.0 - uniform()).ln();
            let interruption = if uniform() < interrupted { 50_000.0 * uniform() } else { 0.0 };
            1000.0 + shift + tail + interruption
        };
        (0..10_000).map(|_| duration()).collect()
    }

    fn welch_t(first: &[f64], second: &[f64]) -> f64 {
        Comparison::whole(first, second).t()
    }

    fn assert_close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    /// Calculated by hand: means 3 and 6, variances 2.5 and 10, so that t = -3 / sqrt(0.5 + 2).
    #[test]
    fn t_is_the_difference_in_standard_errors() {
        let (first, second) = ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_close(welch_t(&first, &second), -3.0 / 2.5_f64.sqrt());
        assert_close(welch_t(&second, &first), 3.0 / 2.5_f64.sqrt());
        // Samples of different sizes: means 3 and 5, variances 2.5 and 2.
        assert_close(welch_t(&first, &[4.0, 6.0]), -2.0 / 1.5_f64.sqrt());
        assert_close(welch_t(&first, &first), 0.0);
    }

    #[test]
    fn median_and_slowest_tenth_are_found() {
        assert_close(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_close(mean(&[9.0, 1.0, 5.0]), 5.0);
        let first: Vec<f64> = (1..=10).map(f64::from).collect();
        let second: Vec<f64> = (11..=20).map(f64::from).collect();
        let (kept, cropped) = crop(&first, &second, 0.9);
        assert_eq!((kept, cropped.last()), (first, Some(&18.0)));
    }

    #[test]
    fn equal_distributions_are_not_distinguished() {
        let mut rng = Rng::new(1);
        for _ in 0..20 {
            let (first, second) = (durations(&mut rng, 0.0, 0.01), durations(&mut rng, 0.0, 0.01));
            for comparison in Comparison::all(&first, &second) {
                assert!(comparison.t().abs() < T_BOUND, "{comparison:?}");
            }
        }
    }

    /// A difference of 0.2 %, which the interruptions hide without cropping.
    #[test]
    fn small_difference_is_found_below_the_tail() {
        let mut rng = Rng::new(2);
        let (first, second) = (durations(&mut rng, 2.0, 0.01), durations(&mut rng, 0.0, 0.01));
        let [whole, cropped, _] = Comparison::all(&first, &second);
        assert!(whole.t().abs() < T_BOUND && whole.detectable() > 2.0, "{whole:?}");
        assert!(cropped.t() > T_BOUND && cropped.detectable() < 2.0, "{cropped:?}");
    }

    /// On a busy machine, cropping the slowest tenth is not enough.
    #[test]
    fn difference_is_found_although_a_third_was_interrupted() {
        let mut rng = Rng::new(3);
        let (first, second) = (durations(&mut rng, 20.0, 0.33), durations(&mut rng, 0.0, 0.33));
        let [_, tenth, half] = Comparison::all(&first, &second);
        assert!(tenth.t().abs() < T_BOUND && half.t() > T_BOUND, "{tenth:?}, {half:?}");
    }
}
