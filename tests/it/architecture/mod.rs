//! Rules for the source tree that the compiler does not know: layers, files, links and wording.

mod import_circles;
mod wording;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who may import whom. Nothing points back.
const LAYERS: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("error_chain", &[]),
    ("clock", &[]),
    ("worker_pool", &[]),
    ("tls_verifier", &[]),
    ("auth", &["clock", "domain", "worker_pool"]),
    ("store", &["domain", "tls_verifier", "worker_pool"]),
    ("rate_limits", &["error_chain", "clock", "domain", "store"]),
    ("key_store", &["auth"]),
    ("api", &["auth", "clock", "domain", "error_chain", "rate_limits", "store"]),
    ("server", &["api"]),
    ("http", &["tls_verifier"]),
    ("config", &["auth", "domain", "key_store", "rate_limits", "server", "store"]),
    ("telemetry", &["config"]),
    (
        "cli",
        &[
            "api",
            "auth",
            "clock",
            "config",
            "domain",
            "key_store",
            "rate_limits",
            "server",
            "store",
            "telemetry",
        ],
    ),
];

/// Crates that only these rooms may know.
const FENCED: [(&str, &[&str]); 9] = [
    ("anyhow", &["cli"]),
    ("axum", &["api", "server"]),
    ("clap", &["cli", "main"]),
    ("deadpool_postgres", &["store"]),
    ("jsonwebtoken", &["auth"]),
    ("rusqlite", &["store"]),
    ("rustls", &["http", "server", "store", "tls_verifier"]),
    ("tokio_postgres", &["store"]),
    ("utoipa", &["api"]),
];

const LONGEST_FILE: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below the folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The room that a file of `src/` belongs to.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The lines of a file that are code: without comments.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).map(str::to_owned).collect()
}

/// The word that follows each `prefix` in the line.
fn words_after(line: &str, prefix: &str) -> Vec<String> {
    let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
    line.match_indices(prefix)
        .map(|(start, _)| line[start + prefix.len()..].chars().take_while(is_word).collect())
        .collect()
}

#[test]
fn rooms_import_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let room = room(&path);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == room) else {
            continue;
        };
        for line in code(&path) {
            for other in words_after(&line, "crate::") {
                if other != room && !allowed.contains(&other.as_str()) {
                    wrong.push(format!("{}: {room} must not know {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_are_known_only_where_they_belong() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let room = room(&path);
        for line in code(&path) {
            for (name, rooms) in FENCED {
                let is_named = line.contains(&format!("{name}::"));
                if is_named && !rooms.contains(&room.as_str()) {
                    wrong.push(format!("{}: {room} must not know {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_on_the_map() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms: BTreeSet<String> =
        files(&root().join("src"), ".rs").iter().map(|path| room(path)).collect();
    for room in rooms {
        let is_there = map.contains(&format!("pub mod {room};"));
        assert!(is_there || room == "lib" || room == "main", "{room} is not in src/lib.rs");
        let is_layered = LAYERS.iter().any(|(name, _)| *name == room);
        assert!(is_layered || room == "lib" || room == "main", "{room} has no layer");
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    let folders = ["src", "tests", "bench", "fuzz"].map(|folder| root().join(folder));
    for path in
        folders.iter().filter(|folder| folder.exists()).flat_map(|folder| files(folder, ".rs"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not say what it is for", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"] {
            if text.contains(word) {
                wrong.push(format!("{} says {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_have_names_that_say_something() {
    for path in files(&root().join("src"), ".rs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        for empty in ["utils", "util", "common", "helpers", "helper", "misc", "manager", "service"]
        {
            assert_ne!(name, empty, "{}", path.display());
        }
    }
}

/// What the page on security takes for proof is there to be run.
#[test]
fn tests_that_prove_something_are_there() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let named: Vec<_> = quoted.filter(|name| name.contains(".rs::")).collect();
    assert!(named.len() > 150, "{named:?}");
    for name in named {
        let (file, test) = name.split_once("::").unwrap();
        let folder = if file.starts_with("src/") { root() } else { root().join("tests/it") };
        let source = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "docs/security.md names {name}");
    }
}

/// Links and names of files in the documents lead somewhere.
#[test]
fn documents_name_only_what_is_there() {
    let mut wrong = Vec::new();
    let documents = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let documents: Vec<_> = documents
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .chain(files(&root().join("docs"), ".md"))
        .collect();
    assert!(documents.len() > 3, "the documents are gone");
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in links(&text).into_iter().chain(named_files(&text)) {
            let from = if target.0 { document.parent().unwrap().to_owned() } else { root() };
            if !from.join(&target.1).exists() {
                wrong.push(format!("{} names {}", document.display(), target.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Relative targets of `[text](target)`, without their fragment.
fn links(text: &str) -> Vec<(bool, String)> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap().to_owned());
    let is_file = |target: &String| !target.is_empty() && !target.contains("://");
    targets.filter(is_file).map(|target| (true, target)).collect()
}

/// Files of the repository that stand between backticks.
fn named_files(text: &str) -> Vec<(bool, String)> {
    const FOLDERS: [&str; 8] =
        ["src/", "tests/", "docs/", "scripts/", "bench/", "fuzz/", "migrations/", "assets/"];
    let quoted = text.split('`').skip(1).step_by(2);
    let is_plain = |name: &&str| {
        name.chars()
            .all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character))
    };
    let is_ours = |name: &&str| FOLDERS.iter().any(|folder| name.starts_with(folder));
    quoted.filter(is_plain).filter(is_ours).map(|name| (false, name.to_owned())).collect()
}

/// What users run is checked for sums that do not fit, as what the tests run is.
#[test]
fn what_is_released_does_not_wrap() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let settings = manifest.lines().skip_while(|line| *line != "[profile.release]").skip(1);
    let is_checked = settings
        .take_while(|line| !line.starts_with('['))
        .any(|line| line == "overflow-checks = true");
    assert!(is_checked);
    // Nor does a part of it.
    assert!(!manifest.contains("overflow-checks = false"));
}
