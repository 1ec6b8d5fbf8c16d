//! The words and sentence openings that docs/writing.md rules out, and how many files still have
//! each. A number may only shrink.

use std::path::{Path, PathBuf};

use super::{files, root};

/// A phrase in lower case, and the number of files that may still contain it. An underscore in a
/// file counts as a space, so names of functions are checked too.
const PHRASES: [(&str, usize); 17] = [
    ("whoever", 95),
    ("whatever", 76),
    ("somebody", 45),
    ("anybody", 17),
    ("nobody", 121),
    ("in vain", 12),
    (" is told", 48),
    (" are told", 19),
    (" was told", 11),
    (" were told", 2),
    (" goes on", 44),
    (" go on", 35),
    ("one's", 25),
    ("as one likes", 4),
    ("under way", 28),
    ("bears being", 1),
    (" rooms", 7),
];

/// Words that open a relative clause; a sentence must not begin with one, unless it asks.
const OPENINGS: [&str; 8] =
    ["Who ", "Whoever ", "Whose ", "What ", "Whatever ", "Which ", "Such ", "Of "];

/// The number of files that may still have a sentence with such an opening.
const FILES_WITH_OPENINGS: usize = 269;

#[test]
fn phrases_of_the_old_dialect_only_disappear() {
    let texts: Vec<_> = prose_files().iter().map(|path| plain_text(path)).collect();
    let count = |phrase| texts.iter().filter(|text| text.contains(phrase)).count();
    let counts = PHRASES.map(|(phrase, allowed)| (phrase, count(phrase), allowed));
    let wrong: Vec<_> = counts.iter().filter(|(_, found, allowed)| found > allowed).collect();
    assert!(wrong.is_empty(), "phrase, files with it, files allowed: {wrong:?}");
}

#[test]
fn sentences_begin_with_their_actor() {
    let mut found = Vec::new();
    for path in prose_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Some(sentence) = sentences(&path, &text).into_iter().find(|text| is_clause(text)) {
            found.push(format!("{}: {sentence}", path.display()));
        }
    }
    assert!(found.len() <= FILES_WITH_OPENINGS, "{} files: {}", found.len(), found.join("\n"));
}

/// Files that people read. The two files that list the phrases are left out, and so is recorded data.
fn prose_files() -> Vec<PathBuf> {
    const ENDINGS: [&str; 8] = [".rs", ".md", ".sql", ".toml", ".py", ".js", ".css", ".html"];
    let folders = ["src", "tests", "docs", "bench", "fuzz", "migrations", "assets"];
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

/// The text in lower case, with single spaces between its words.
fn plain_text(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap().to_lowercase().replace('_', " ");
    let lines = text.lines().map(|line| without_marker(line).trim());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// The line without the sign that makes it a comment.
fn without_marker(line: &str) -> &str {
    line.trim_start().trim_start_matches(['/', '!', '#', '-', '*', '>'])
}

/// The sentences of the comments, or of a document.
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
