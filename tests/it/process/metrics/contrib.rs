//! The alert rules and the dashboard in `contrib/` fit the metrics that the service has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use post_api::metrics::METRICS;
use serde_json::Value;

use super::promtool::promtool;

const DASHBOARD: &str = include_str!("../../../../contrib/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../../../contrib/alerts.yml");

fn alerts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/alerts.yml")
}

/// Returns the names in the text that can be metrics, without the endings of a histogram.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_word(character));
    let names = words.filter(|word| {
        ["http_server_", "post_api_", "process_"].iter().any(|prefix| word.starts_with(prefix))
    });
    names
        .map(|name| {
            ["_bucket", "_count", "_sum"]
                .iter()
                .fold(name, |name, ending| name.strip_suffix(ending).unwrap_or(name))
        })
        .collect()
}

/// Returns every query of the dashboard.
fn queries(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value) {
                ("expr", Value::String(query)) => vec![query.as_str()],
                _ => queries(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(queries).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_metric_in_contrib_exists_and_the_dashboard_shows_all() {
    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for text in [DASHBOARD, ALERTS] {
        let used = metrics_in(text);
        assert!(used.len() > 3, "{used:?}");
        assert_eq!(used.difference(&known).collect::<Vec<_>>(), [&""; 0]);
    }
    let shown = metrics_in(DASHBOARD);
    assert_eq!(known.difference(&shown).collect::<Vec<_>>(), [&""; 0]);
}

/// The selectors of queries name only labels that the metrics have.
#[test]
fn every_label_in_contrib_exists() {
    let labels = METRICS.iter().flat_map(|metric| metric.labels).copied();
    let known: BTreeSet<_> = labels.chain(["job", "instance", "le", "severity"]).collect();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let groups = queries(&dashboard)
        .into_iter()
        .chain([ALERTS])
        .flat_map(|query| query.split("by (").skip(1).filter_map(|rest| rest.split(')').next()));
    let used: BTreeSet<_> = groups.flat_map(|group| group.split(", ")).collect();
    assert!(used.len() > 5, "{used:?}");
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), [&""; 0]);
}

#[test]
fn alert_rules_are_valid_and_fire_for_faulty_services_only() {
    let path = alerts();
    let path = path.to_str().unwrap();
    promtool(&["check", "rules", path], "");
    let cases = include_str!("../../data/alerts.test.yml").replace("RULES", path);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("alerts.test.yml");
    std::fs::write(&file, cases).unwrap();
    promtool(&["test", "rules", file.to_str().unwrap()], "");
}

/// Prometheus parses every query of the dashboard, as the expression of a rule.
#[test]
fn queries_of_the_dashboard_are_valid() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 20, "{queries:?}");
    let rules = queries.iter().enumerate().map(|(number, query)| {
        let query = query.replace("$__rate_interval", "5m");
        let query = Value::String(query).to_string();
        format!("      - record: query:{number}\n        expr: {query}\n")
    });
    let rules = format!("groups:\n  - name: a\n    rules:\n{}", rules.collect::<String>());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
}
