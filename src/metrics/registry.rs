//! All sources of metrics of a process, and the text of their values.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};

use super::scrape::{Collect, Scrape};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
}

#[derive(Default)]
pub struct Registry(prometheus_client::registry::Registry);

impl Registry {
    /// Adds a source. No two sources write the same metric.
    pub fn add(&mut self, source: Arc<dyn Collect>) {
        self.0.register_collector(Box::new(Source(source)));
    }

    /// Returns the values of all sources.
    ///
    /// # Errors
    /// If a source cannot write its values.
    pub fn render(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match format {
            Format::OpenMetrics => text::encode(&mut text, &self.0)?,
            Format::Prometheus => prometheus_text::encode(&mut text, &self.0)?,
        }
        Ok(text)
    }
}

struct Source(Arc<dyn Collect>);

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Source")
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.collect(&mut Scrape::new(encoder))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Histogram, MEMBERS, name};
    use super::*;

    struct Example;

    impl Collect for Example {
        fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
            scrape.counter(&name::NOT_MODIFIED, 3)?;
            scrape.gauge(&name::CONNECTIONS, 2)?;
            let members = Histogram::new(&MEMBERS);
            members.record(300);
            scrape.histograms(&name::BATCH_MEMBERS, [(["write"], &members)])
        }
    }

    fn lines(format: Format) -> Vec<String> {
        let mut registry = Registry::default();
        registry.add(Arc::new(Example));
        let text = registry.render(format).unwrap();
        text.lines().filter(|line| !line.starts_with("# HELP ")).map(str::to_owned).collect()
    }

    #[test]
    fn open_metrics_names_a_counter_without_its_suffix_and_ends_with_a_mark() {
        let lines = lines(Format::OpenMetrics);
        assert_eq!(
            lines[..4],
            [
                "# TYPE post_api_not_modified counter",
                "post_api_not_modified_total 3",
                "# TYPE http_server_connections gauge",
                "http_server_connections 2",
            ]
        );
        assert!(
            lines.contains(
                &r#"post_api_store_batch_members_bucket{le="+Inf",queue="write"} 1"#.into()
            ),
            "{lines:?}"
        );
        assert_eq!(lines.last().unwrap(), "# EOF");
    }

    #[test]
    fn prometheus_text_names_a_counter_with_its_suffix_and_has_no_mark() {
        let lines = lines(Format::Prometheus);
        assert_eq!(
            lines[..3],
            [
                "# TYPE post_api_not_modified_total counter",
                "post_api_not_modified_total 3",
                "# TYPE http_server_connections gauge",
            ]
        );
        assert!(!lines.iter().any(|line| line == "# EOF"));
    }
}
