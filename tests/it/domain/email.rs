//! E-mail validation against a table of recorded verdicts, and against hostile inputs.
//!
//! `tests/it/data/emails.py` prints the table.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use post_api::domain::email::Email;

const TABLE: &str = include_str!("../data/emails.tsv");

/// The length in characters up to which the service validates an input.
const LONGEST_INPUT: usize = 2048;

/// Runs shorter than this say nothing about growth.
const NOISE: Duration = Duration::from_millis(100);

/// Texts that may be costly for a rule if they are repeated.
const FILLERS: &[&str] = &[
    "a",
    ".",
    "-",
    "@",
    "<",
    ">",
    "\"",
    "\\",
    " ",
    "\n",
    "[",
    "a ",
    "a.",
    "\"<",
    "\"\\",
    "\" ",
    "<>",
    "é",
    "\u{301}",
    "e\u{301}",
    "\u{340}",
    "@\u{338}",
    "\"\u{338}",
    "\u{200D}",
    "\u{94D}\u{200D}",
    "ن\u{200C}",
    "・",
    "\u{660}",
    "א",
    "中",
    "中。",
    "😀",
    "\u{FDFA}",
    "\u{1D15E}",
    "\u{115F}",
    "xn--",
    "xn--a.",
    "xn--99999999.",
    ":",
    "::",
    "1.",
    "%",
];

/// The text before and after a filler.
const FRAMES: &[(&str, &str)] = &[
    ("", ""),
    ("", "@example.com"),
    ("a@", ""),
    ("a@", ".com"),
    ("a@xn--", ".com"),
    ("a@é.xn--", ".com"),
    ("\"", "\"@example.com"),
    ("\"\\", "\"@example.com"),
    ("\"", "\" <a@example.com>"),
    ("\"", "<a@exa\nmple.com>"),
    ("Name <", ">"),
    ("", "<a@example.com>"),
    ("a@[", "]"),
    ("a@[IPv6:", "]"),
];

struct Row {
    input: String,
    kind: String,
    expected: String,
}

fn rows() -> Vec<Row> {
    TABLE.lines().map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<String> = line
        .split('\t')
        .map(|cell| serde_json::from_str(cell).expect("a cell is a JSON string"))
        .collect();
    let [input, kind, expected] = cells.try_into().expect("a row has three cells");
    Row { input, kind, expected }
}

/// Returns the difference between our verdict and the row, if there is one.
fn disagreement(row: &Row) -> Option<String> {
    let ours = Email::parse(&row.input);
    let agrees = match (row.kind.as_str(), &ours) {
        ("accepted", Ok(email)) => email.as_str() == row.expected,
        ("refused", Err(error)) => error.reason() == row.expected,
        ("refused-idna", Err(_)) => true,
        _ => false,
    };
    (!agrees).then(|| format!("{:?}: {} {:?}, ours is {ours:?}", row.input, row.kind, row.expected))
}

#[test]
fn email_verdicts_match_the_recorded_table() {
    let rows = rows();
    assert!(rows.len() >= 400, "the table has only {} rows", rows.len());
    let disagreements: Vec<String> = rows.iter().filter_map(disagreement).collect();
    assert!(
        disagreements.is_empty(),
        "{} of {} rows:\n{}",
        disagreements.len(),
        rows.len(),
        disagreements.join("\n")
    );
}

#[test]
fn normalized_email_stays_unchanged() {
    for row in rows().iter().filter(|row| row.kind == "accepted") {
        let again = Email::parse(&row.expected).map(|email| email.to_string());
        assert_eq!(again.as_deref(), Ok(row.expected.as_str()));
    }
}

#[test]
fn error_text_is_the_reason() {
    let error = Email::parse("plain").unwrap_err();
    assert_eq!(error.reason(), "An email address must have an @-sign.", "of {error:?}");
    let boxed: Box<dyn std::error::Error> = Box::new(error.clone());
    assert_eq!(boxed.to_string(), error.reason());
}

#[test]
fn stored_email_is_kept_unchanged() {
    let parsed = Email::parse("Ann@Example.com").unwrap();
    let stored = Email::from_stored(parsed.as_str().to_owned());
    assert_eq!(stored, parsed);
    assert_eq!(stored.to_string(), "Ann@example.com");
    assert_eq!(HashSet::from([parsed, stored]).len(), 1);
}

#[test]
fn invalid_international_names_have_one_reason() {
    for name in ["😀.com", "xn--zzzzzz.com", "xn--a.com", "٣.com"] {
        let error = Email::parse(&format!("a@{name}")).unwrap_err();
        assert_eq!(error.reason(), "The part after the @-sign is not valid IDNA.");
    }
}

#[test]
fn characters_at_every_position_do_not_panic() {
    let common = '\0'..'\u{3000}';
    let samples_of_the_others = ('\u{3000}'..=char::MAX).step_by(61);
    for character in common.chain(samples_of_the_others) {
        for text in [
            format!("a{character}@example.com"),
            format!("a@b{character}c.com"),
            format!("{character}<a@example.com>"),
        ] {
            // Only the absence of a panic matters here.
            let _ = Email::parse(&text);
        }
    }
}

/// A linear rule takes twice as long for twice the text, a quadratic one four times. Both lengths
/// run in turn and the fastest run of each counts, so a slow machine changes both sides.
#[test]
fn parsing_time_grows_linearly_with_hostile_input() {
    for (before, after) in FRAMES {
        for filler in FILLERS {
            let space = LONGEST_INPUT - before.chars().count() - after.chars().count();
            let fillers = space / filler.chars().count();
            let [half, whole] = fastest_runs([fillers / 2, fillers], |count| {
                let _ = Email::parse(&format!("{before}{}{after}", filler.repeat(count)));
            });
            assert!(
                whole <= 3 * half + NOISE,
                "{half:?}, then {whole:?} for {filler:?} in {before:?} and {after:?}"
            );
        }
    }
}

/// Returns the fastest of three runs at each size.
fn fastest_runs(sizes: [usize; 2], run: impl Fn(usize)) -> [Duration; 2] {
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..3 {
        for (fastest, size) in fastest.iter_mut().zip(sizes) {
            let start = Instant::now();
            run(size);
            *fastest = start.elapsed().min(*fastest);
        }
    }
    fastest
}
