//! The phrases and sentence openings that docs/writing.md rules out.

use std::path::{Path, PathBuf};

use super::{files, root};

/// Phrases that no file may contain, in lower case. An underscore counts as a space, so names of
/// functions are checked too.
const PHRASES: [&str; 17] = [
    "whoever",
    "whatever",
    "somebody",
    "anybody",
    "nobody",
    "in vain",
    " is told",
    " are told",
    " was told",
    " were told",
    " goes on",
    " go on",
    "one's",
    "as one likes",
    "under way",
    "bears being",
    " rooms",
];

/// Words that open a relative clause; a sentence must not begin with one, unless it is a
/// question.
const OPENINGS: [&str; 8] =
    ["Who ", "Whoever ", "Whose ", "What ", "Whatever ", "Which ", "Such ", "Of "];

#[test]
fn files_contain_no_ruled_out_phrase() {
    let mut found = Vec::new();
    for path in prose_files() {
        let text = plain_text(&path);
        let phrases = PHRASES.iter().filter(|phrase| text.contains(**phrase));
        found.extend(phrases.map(|phrase| format!("{}: {phrase:?}", path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn sentences_begin_with_their_actor() {
    let mut found = Vec::new();
    for path in prose_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let clauses = sentences(&path, &text).into_iter().filter(|sentence| is_clause(sentence));
        found.extend(clauses.map(|sentence| format!("{}: {sentence}", path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the files that people read, except the two files that list the phrases, recorded data,
/// and migrations: databases record their checksums, so not even a comment may change.
fn prose_files() -> Vec<PathBuf> {
    const ENDINGS: [&str; 8] = [".rs", ".md", ".sql", ".toml", ".py", ".js", ".css", ".html"];
    let folders = ["src", "tests", "docs", "bench", "fuzz", "assets", "contrib"];
    let nested = folders.iter().flat_map(|folder| files(&root().join(folder), ""));
    let scripts = files(&root().join("scripts"), "");
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    nested
        .chain(top.filter(|path| path.is_file()))
        .filter(|path| ENDINGS.iter().any(|ending| path.to_str().unwrap().ends_with(ending)))
        .chain(scripts)
        .filter(|path| {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            !name.starts_with("tests/it/data/")
                && name != "docs/writing.md"
                && name != "tests/it/architecture/wording.rs"
        })
        .collect()
}

/// Returns the text in lower case, with single spaces between its words.
fn plain_text(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap().to_lowercase().replace('_', " ");
    let lines = text.lines().map(|line| without_marker(line).trim());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Returns the line without the sign that makes it a comment.
fn without_marker(line: &str) -> &str {
    line.trim_start().trim_start_matches(['/', '!', '#', '-', '*', '>'])
}

/// Returns the sentences of the comments, or of a document.
fn sentences(path: &Path, text: &str) -> Vec<String> {
    let is_document = path.extension().is_some_and(|ending| ending == "md");
    let is_prose = |line: &str| {
        is_document || ["//", "# ", "--"].iter().any(|marker| line.trim_start().starts_with(marker))
    };
    let mut paragraphs = vec![String::new()];
    for line in text.lines() {
        let words = without_marker(line).trim();
        let opens = words.is_empty() || line.trim_start().starts_with(['-', '|', '#', '*']);
        if !is_prose(line) || opens {
            paragraphs.push(String::new());
        }
        if is_prose(line) {
            let paragraph = paragraphs.last_mut().unwrap();
            paragraph.push_str(words);
            paragraph.push(' ');
        }
    }
    let cells = paragraphs.iter().flat_map(|paragraph| paragraph.split('|'));
    let sentences = cells.flat_map(|cell| cell.split_inclusive(['.', '?', ':']));
    sentences.map(|sentence| sentence.trim().trim_start_matches('*').to_owned()).collect()
}

fn is_clause(sentence: &str) -> bool {
    OPENINGS.iter().any(|opening| sentence.starts_with(opening)) && !sentence.ends_with('?')
}
