//! Compares the `.env` parser with recorded results of python-dotenv.

use std::time::{Duration, Instant};

use post_api::config::dotenv::parse;
use serde_json::{Value, json};

/// Written by `tests/it/data/dotenv.py`.
const RECORDED: &str = include_str!("../data/dotenv.json");

#[test]
fn recorded_files_are_parsed_like_python_dotenv() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).expect("the table is JSON");
    assert!(cases.len() >= 120, "only {} cases", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(failure).collect();
    assert!(
        failures.is_empty(),
        "{} of {} files are parsed differently:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// The limit is dozens of times the time of one file, and far below quadratic time.
#[test]
fn hostile_files_are_parsed_in_linear_time() {
    const LENGTH: usize = 100_000;
    const LIMIT: Duration = Duration::from_secs(5);
    let statements = ["A=\"\n", "A='", "'A\n", "A=\"\\", "export ", "=\n", "A\n", "A B\n"];
    let values = ["${", "${A", "${A:", "${A:-", "$", " #", "\\", "}${", "  "];
    for part in statements.iter().chain(&values) {
        for (before, after) in [("", ""), ("A=", ""), ("A=", "}"), ("A=", ":"), ("A='", "'")] {
            let text = format!("{before}{}{after}", part.repeat(LENGTH / part.len()));
            let start = Instant::now();
            let _ = parse(&text, &|_| None);
            let taken = start.elapsed();
            assert!(taken < LIMIT, "{before:?}, many {part:?}, {after:?} took {taken:?}");
        }
    }
}

fn failure(case: &Value) -> Option<String> {
    let text = case["text"].as_str().expect("a case has a text");
    let environment = |name: &str| case["environment"][name].as_str().map(str::to_owned);
    let read = parse(text, &environment);
    let (entries, lines) = (json!(read.entries), json!(read.unreadable_lines));
    if entries == case["expected"] && lines == case["unreadable_lines"] {
        return None;
    }
    Some(format!(
        "{}: {text:?}\n  expected {}, unreadable {}\n  read     {entries}, unreadable {lines}",
        case["name"], case["expected"], case["unreadable_lines"]
    ))
}
