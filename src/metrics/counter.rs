//! Counters: numbers that only grow, until the process ends.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for each value of a label. The values are fixed, so their number is bounded.
#[derive(Debug)]
pub struct LabeledCounters(Vec<(&'static str, Counter)>);

impl LabeledCounters {
    #[must_use]
    pub fn new(labels: impl IntoIterator<Item = &'static str>) -> Self {
        Self(labels.into_iter().map(|label| (label, Counter::default())).collect())
    }

    /// Counts one for this value of the label. Ignores any other value.
    pub fn increment(&self, label: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == label) {
            counter.increment();
        }
    }

    /// Returns each value of the label with its count.
    pub fn values(&self) -> impl Iterator<Item = ([&'static str; 1], u64)> {
        self.0.iter().map(|(label, counter)| ([*label], counter.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_without_a_counter_is_ignored() {
        let counters = LabeledCounters::new(["a", "b"]);
        for label in ["b", "c", "b"] {
            counters.increment(label);
        }
        assert_eq!(counters.values().collect::<Vec<_>>(), [(["a"], 0), (["b"], 2)]);
    }
}
