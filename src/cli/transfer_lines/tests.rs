//! Lines as they are written and read, and faults in them.

use super::reader::LineError;
use super::*;
use crate::store::transfer::{PostRow, UserRow};

const HEADER: &str = "{\"post-api\":1,\"revision\":\"0016\",\"at\":\"2026-11-29T10:00:00.123456Z\",\"store\":\"sqlite\"}\n";

fn user(id: i64) -> Row {
    Row::User(UserRow {
        id,
        email: format!("user{id}@example.com"),
        password: "secret".to_owned(),
        name: None,
        created_at: Timestamp::UNIX_EPOCH,
        tokens_valid_from: Timestamp::UNIX_EPOCH,
        disabled_at: None,
        email_verified_at: None,
    })
}

fn post(id: i64) -> Row {
    Row::Post(PostRow {
        id,
        owner_id: 1,
        title: "secret".to_owned(),
        content: String::new(),
        published: true,
        created_at: Timestamp::UNIX_EPOCH,
    })
}

fn vote(post_id: i64, user_id: i64) -> Row {
    Row::Vote(VoteRow { post_id, user_id, dir: -1 })
}

fn export(rows: Vec<Row>) -> String {
    let mut text = Vec::new();
    let header = serde_json::from_str(HEADER).unwrap();
    let mut writer = LineWriter::new(&mut text, &header, false).unwrap();
    for row in rows {
        writer.write(row).unwrap();
    }
    writer.finish(NextIds { users: 10, posts: 10 }).unwrap();
    String::from_utf8(text).unwrap()
}

fn import(text: &str) -> Result<(Vec<Row>, NextIds), LineError> {
    let mut reader = LineReader::new(text.as_bytes())?;
    let mut rows = Vec::new();
    while let Some(row) = reader.read()? {
        rows.push(row);
    }
    Ok((rows, reader.read_end()?))
}

#[track_caller]
fn assert_fault(text: &str, fault: &str) {
    let error = import(text).unwrap_err().to_string();
    assert_eq!(error, fault, "{text}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn rows_are_read_as_they_were_written() {
    let rows = vec![user(1), user(3), post(1), post(2), vote(1, 1), vote(1, 3), vote(2, 1)];
    let text = export(rows.clone());
    assert!(text.starts_with(HEADER), "{text}");
    assert_eq!(import(&text).unwrap(), (rows, NextIds { users: 10, posts: 10 }));
    assert_eq!(import(&export(Vec::new())).unwrap().0, []);
}

#[test]
fn export_that_was_cut_off_or_changed_is_refused() {
    let text = export(vec![user(1), post(1), vote(1, 1)]);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for count in 0..lines.len() {
        let line = count + 1;
        let fault = format!("line {line}: is missing: the export was cut off");
        assert_fault(&lines[..count].concat(), &fault);
        let half: String = lines[count].chars().take(lines[count].len() / 2).collect();
        assert_fault(&(lines[..count].concat() + &half), &fault);
    }
    let changed = "line 6: has other counts or another SHA-256 than the lines before: the export was \
                   changed";
    assert_fault(&text.replace("\"title\":\"secret\"", "\"title\":\"secreT\""), changed);
    assert_fault(&text.replace("\"votes\":1", "\"votes\":2"), changed);
    assert_fault(&text.replace("0016", "0017"), changed);
    assert_fault(&(text.clone() + "\n"), "line 7: comes after the end");
}

#[test]
fn faults_are_reported_by_line_without_content() {
    let text = export(vec![user(1), user(2), post(1), vote(1, 1)]);
    for (from, to, fault) in [
        (
            "{\"post-api\":1,",
            "{\"post-api\":2,",
            "line 1: is of version 2 of the format, and this binary reads version 1",
        ),
        ("{\"post-api\":1,", "{\"other\":1,", "line 1: is not the header of an export"),
        (
            "{\"user\":{\"id\":2",
            "{\"user\":{\"id\":1",
            "line 3: is not in the order of kinds and IDs",
        ),
        (
            "{\"user\":{\"id\":1",
            "{\"user\":{\"id\":0",
            "line 2: is not in the order of kinds and IDs",
        ),
        ("user2@example.com", "secret", "line 3: has an invalid e-mail"),
        ("\"content\":\"\"", "\"content\":\"\\u0000\"", "line 4: has a NUL character"),
        ("\"dir\":-1", "\"dir\":2", "line 5: has a dir other than 1 and -1"),
        ("\"users\":10", "\"users\":0", "line 6: has a next ID below 1"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_fault(&text.replacen(from, to, 1), fault);
    }
    for (from, to, line) in [
        ("\"title\":\"secret\"", "\"title\":1", 4),
        ("\"title\":\"secret\"", "\"titel\":\"secret\"", 4),
        ("\"password\":\"secret\"", "\"password\":\"secret\",\"secret\":1", 2),
        ("1970-01-01T00:00:00.000000Z", "secret", 2),
        ("{\"vote\":", "{\"secret\":", 5),
    ] {
        let error = import(&text.replacen(from, to, 1)).unwrap_err().to_string();
        let fault =
            format!("line {line}: has a field that is missing, unknown or of the wrong type");
        assert!(error.starts_with(&fault) && !error.contains("secret"), "{error}");
    }
    let error = import(&text.replacen("{\"vote\":", "{vote", 1)).unwrap_err().to_string();
    assert_eq!(error, "line 5: is not JSON (column 2)");
}

#[test]
fn line_without_end_is_read_only_up_to_its_bound() {
    let endless = io::BufReader::new(io::repeat(b'a'));
    let error = LineReader::new(endless).err().unwrap().to_string();
    assert_eq!(error, "line 1: is longer than 33554432 bytes");
}
