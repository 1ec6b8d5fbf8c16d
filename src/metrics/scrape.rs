//! One answer to a monitoring system while it is being written.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};

use super::definitions::Metric;
use super::histogram::{Histogram, Snapshot};

/// Writes its values whenever a monitoring system asks for them. It waits for nothing but files.
pub trait Collect: Send + Sync + 'static {
    /// # Errors
    /// Those of the scrape.
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result;
}

pub struct Scrape<'a>(DescriptorEncoder<'a>);

impl<'a> Scrape<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// # Errors
    /// If the text cannot be written.
    pub fn counter(&mut self, metric: &Metric, value: u64) -> fmt::Result {
        self.counters(metric, [([], value)])
    }

    /// # Errors
    /// If the text cannot be written.
    pub fn gauge(&mut self, metric: &Metric, value: u64) -> fmt::Result {
        self.gauges(metric, [([], value)])
    }

    /// Like [`Scrape::counter`], for a number with a fraction.
    ///
    /// # Errors
    /// If the text cannot be written.
    pub fn fractional_counter(&mut self, metric: &Metric, value: f64) -> fmt::Result {
        self.begin(metric)?.encode_counter::<NoLabelSet, f64, f64>(&value, None)
    }

    /// # Errors
    /// If the text cannot be written.
    pub fn fractional_gauge(&mut self, metric: &Metric, value: f64) -> fmt::Result {
        self.begin(metric)?.encode_gauge(&value)
    }

    /// Writes one number for each set of values of the labels.
    ///
    /// # Errors
    /// If the text cannot be written.
    pub fn counters<'v, const N: usize>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([&'v str; N], u64)>,
    ) -> fmt::Result {
        self.series(metric, series, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None)
        })
    }

    /// Like [`Scrape::counters`].
    ///
    /// # Errors
    /// If the text cannot be written.
    pub fn gauges<'v, const N: usize>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([&'v str; N], u64)>,
    ) -> fmt::Result {
        self.series(metric, series, |encoder, value| {
            encoder.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
        })
    }

    /// Like [`Scrape::counters`].
    ///
    /// # Errors
    /// If the text cannot be written.
    pub fn histograms<'v, 'h, const N: usize>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([&'v str; N], &'h Histogram)>,
    ) -> fmt::Result {
        self.series(metric, series, |encoder, histogram| {
            let Snapshot { sum, count, buckets } = histogram.snapshot();
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    fn series<'v, const N: usize, T>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([&'v str; N], T)>,
        encode: impl Fn(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric)?;
        for (values, value) in series {
            let labels: Vec<_> = metric.labels.iter().copied().zip(values).collect();
            encode(&mut encoder.encode_family(&labels)?, value)?;
        }
        Ok(())
    }

    fn begin<'s>(&'s mut self, metric: &'s Metric) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(metric.family(), metric.help, None, metric.kind.into())
    }
}
