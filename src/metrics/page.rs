//! Renders the list of metrics as a page of the documentation.

use super::definitions::METRICS;

/// Returns the content of `docs/metrics.md`.
#[must_use]
pub fn metrics_page() -> String {
    const HEAD: &str = "# Metrics

`METRICS_ADDRESS` turns the metrics on: see [operations.md](operations.md#metrics). A scrape has at
most 4,000 lines: each label has only the values of a fixed list, so clients cannot add series. No
value names a user, a post or a client.

| metric | type | labels | meaning |
| --- | --- | --- | --- |";
    const NOTES: &str = "
- `http_route` is a path of the [API](routes.txt), such as `/posts/{id}`. Every other request counts
  under the route `other` and the method `_OTHER`: an unknown path, a method that the path does not
  have, `HEAD`, a preflight, a documentation page, a rejected head.
- `http_response_status_code` is 200, 201, 204, 304, 500, 503, or `4xx` for every error of the
  client, or `other`. A client that leaves before its response counts as `4xx`. The series of an
  operation and a status appears with its first response.
- All other series exist from the start: `post_api_database_bytes` on SQLite only,
  `post_api_database_connections` and `post_api_database_connections_limit` on PostgreSQL only.
- `limit` is the name of a [rate limit](rate-limits.md), and `event` that of an
  [audit event](security.md#logging).
- `outcome` is `success`, `refused` (wrong e-mail or password), `limited` (429), or `failed` (an
  error of the service, a full queue).
- `source` is `most_voted` for the ranking `top` of all time, and `newest` for the other rankings.
- `operation` is a call to the database, such as `create_post`. A client that leaves can end an
  operation before it is measured.
- `kind` says why an operation failed:
  - `unavailable`: the database is locked or unreachable, or its disk is full.
  - `overloaded`: a queue is full.
  - `referenced`: rows of a table of your own refer to the row.
  - `unrepresentable`: the encoding of the database lacks a character of the text.
  - `internal`: any other error, such as a damaged database.
- `queue` is `write`, `read` or `list` on SQLite. On PostgreSQL each batcher has one, such as
  `votes`, and requests that wait for a connection are in `short` or `long`.
- `state` is `idle` or `used`, and `file` is `database` or `log`.";
    let mut lines = vec![HEAD.to_owned()];
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (metric.name, metric.kind.word(), metric.help);
        lines.push(format!("| `{name}` | {kind} | {} | {help} |", labels.join(", ")));
    }
    lines.push(NOTES.to_owned());
    lines.join("\n") + "\n"
}
