//! Client input stays within its own line and field of the log (CWE-117).
//!
//! The input has line ends, escape sequences and quotes. Both formats and the most detailed level
//! are tested.

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};

use crate::support::{FORM, PASSWORD, Service};

/// Ends the line, starts a forged one in each format, and sends control sequences to the terminal.
const FORGED: &str = "x\" forged=\"1\r\n1999-01-01T00:00:00.000000Z  INFO audit: forged=\"1\"\n\
                      {\"forged\":1}\n\x1b[2J\x1b]0;forged\x07\u{9b}31m\u{85}\x7f\x08\\\",\"forged\":\"1";

/// The part of the attack that can be sent unencoded.
const RAW: &str = "x\",\"forged\":\"1\\\"forged=\"{}\u{9b}31m\u{85}\u{2028}\u{202e}\u{1d11e}";

/// Returns well-formed requests. Each gets a response, and so a line in the log.
fn well_formed(token: &str) -> Vec<Vec<u8>> {
    let encoded = percent_encode(FORGED.as_bytes(), NON_ALPHANUMERIC).to_string();
    let get = |path: &str, headers: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n").into_bytes()
    };
    let post = |path: &str, kind: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nuser-agent: {RAW}\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let account = json!({"email": FORGED, "password": FORGED, FORGED: FORGED}).to_string();
    let password = PASSWORD.replace(' ', "+");
    let known = format!("username=ada@example.com&password={password}&scope=offline_access");
    let unknown = format!("username={encoded}&password={encoded}&scope={encoded}");
    let authorization = format!("authorization: Bearer {token}\r\n");
    let mut requests = vec![
        get(&format!("/posts/{encoded}"), &authorization),
        get(&format!("/{encoded}?{encoded}={encoded}"), ""),
        get(&format!("/{RAW}"), ""),
        get("/livez", &format!("authorization: Bearer {RAW}\r\n")),
        post("/users", "application/json", &account),
        post("/users", "application/json", FORGED),
        post("/users", &format!("application/{RAW}"), "{}"),
        post("/login", FORM, &known),
        post("/login", FORM, &unknown),
    ];
    for name in ["user-agent", "x-request-id", "x-forwarded-for", "forwarded", "origin", "referer"]
    {
        for value in [RAW, &encoded, &format!("for=\"{RAW}\""), "x\t1999"] {
            requests.push(get("/livez", &format!("{name}: {value}\r\n")));
        }
    }
    requests
}

/// Returns bytes that are not valid HTTP.
fn malformed() -> Vec<Vec<u8>> {
    let mut requests = vec![format!("GET /{FORGED} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()];
    for between in ["\n", "\r", "\x1b[2J", "\x07", "\0", "\x7f", "\r\n 1999-01-01"] {
        requests.push(format!("GET /x{between}forged HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes());
        let header = format!("GET /livez HTTP/1.1\r\nhost: a\r\nuser-agent: x{between}\r\n\r\n");
        requests.push(header.into_bytes());
    }
    requests
}

/// Sends all requests to a service. Returns its log, and the number of well-formed requests.
fn attack(format: &str, level: &str) -> (String, usize) {
    let mut service = Service::start(&[
        ("LOG_FORMAT", format),
        ("LOG_LEVEL", level),
        ("ACCESS_LOG", "on"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    let requests = well_formed(&token);
    for request in &requests {
        let response = service.connect().exchange(request);
        assert!(!response.header("x-request-id").is_empty(), "{response:?}");
        assert!(response.status.as_u16() < 500, "{response:?}");
    }
    for request in malformed() {
        let mut wire = service.connect();
        wire.send(request);
        wire.finish();
        wire.rest();
    }
    service.terminate();
    assert!(service.wait().success());
    (service.final_stderr(), requests.len())
}

/// Checks that the log has no control characters except line ends.
#[track_caller]
fn assert_plain(log: &str) {
    for line in log.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn text_log_lines_cannot_be_forged() {
    for level in ["info", "trace"] {
        let (log, requests) = attack("text", level);
        assert_plain(&log);
        let mut banner = 0;
        for line in log.lines() {
            let time = line.split(' ').next().unwrap();
            let is_event = time.parse::<jiff::Timestamp>().is_ok();
            banner += usize::from(!is_event);
            assert!(!time.starts_with("1999"), "{line}");
            // A quote that ends the field has no backslash before it.
            let ends = line.match_indices("\" forged=").all(|(at, _)| line[..at].ends_with('\\'));
            assert!(ends, "{line}");
        }
        assert_eq!(banner, 4, "only the banner may have lines that are not events: {log}");
        assert!(log.matches(" access: ").count() >= requests, "{log}");
    }
}

#[test]
fn json_log_lines_cannot_be_forged() {
    for level in ["info", "trace"] {
        let (log, requests) = attack("json", level);
        assert_plain(&log);
        let mut paths = Vec::new();
        for line in log.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            let names = event.as_object().unwrap().keys();
            assert!(names.clone().all(|name| !name.contains("forged")), "{line}");
            assert!(!event["timestamp"].as_str().unwrap().starts_with("1999"), "{line}");
            assert!(line.is_ascii(), "{line}");
            if event["target"] == "access" {
                paths.push(event["path"].as_str().unwrap().to_owned());
            }
        }
        assert!(paths.len() >= requests, "{log}");
        // Escaping keeps the original text.
        assert!(paths.contains(&format!("/{RAW}")), "{paths:?}");
    }
}
