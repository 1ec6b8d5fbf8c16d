//! The metrics of a running service, as a monitoring system reads them.

use super::{Service, TestResponse, Wire};

/// The setting that turns the metrics on, at a free port.
pub const METRICS: (&str, &str) = ("METRICS_ADDRESS", "127.0.0.1:0");

/// The values of one scrape, in the text format 0.0.4.
#[derive(Debug)]
pub struct Metrics(pub String);

impl Metrics {
    /// Asks the service for its metrics.
    #[track_caller]
    pub fn of(service: &Service) -> Self {
        let response = Self::request(service, "GET", "/metrics", "").expect(200);
        Self(response.text().to_owned())
    }

    /// Sends a request to the listener of the metrics. Each header line ends with CRLF.
    #[track_caller]
    pub fn request(service: &Service, method: &str, path: &str, headers: &str) -> TestResponse {
        Self::connect(service)
            .exchange(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
    }

    #[track_caller]
    pub fn connect(service: &Service) -> Wire {
        Wire::connect(Self::address(service))
    }

    /// Returns the address that the banner shows, as text or in JSON.
    #[track_caller]
    pub fn address(service: &Service) -> String {
        let output = service.stderr();
        let urls = output.split("http://").skip(1);
        let mut urls = urls.filter_map(|rest| rest.split([' ', '\n', '"']).next());
        let address = urls.find_map(|url| url.strip_suffix("/metrics"));
        address.unwrap_or_else(|| panic!("no metrics in {output}")).to_owned()
    }

    /// Returns the value of a series, such as `name{label="value"}`. 0 if there is none.
    pub fn value(&self, series: &str) -> u64 {
        let found = self.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.map_or(0, |value| value.parse().unwrap())
    }

    /// Returns the lines with values.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter(|line| !line.starts_with('#'))
    }

    /// Returns the name and the type of each metric.
    pub fn types(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
    }
}
