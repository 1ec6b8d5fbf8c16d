//! The access log has one line for every response, also for those that the HTTP library gives
//! without asking the service.

use crate::support::Service;

#[test]
fn response_to_an_unreadable_head_is_one_line_of_the_access_log() {
    let mut service = Service::start(&[("ACCESS_LOG", "on"), ("LOG_FORMAT", "json")]);
    let cases = [
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        ("GET\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (format!("GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n", "a:\r\n".repeat(101)), "431"),
        (format!("GET /livez HTTP/1.1\r\nhost: a\r\na: {}\r\n\r\n", "b".repeat(20_000)), "431"),
        ("GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(), "404"),
    ];
    for (head, status) in &cases {
        let mut wire = service.connect();
        wire.send(head);
        assert!(wire.rest().starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    service.terminate();
    service.wait();
    let log = service.final_stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let statuses: Vec<_> = lines
        .filter(|line| line["target"] == "access")
        .map(|line| line["status"].to_string())
        .collect();
    assert_eq!(statuses, cases.map(|(_, status)| status.to_owned()), "{log}");
}
