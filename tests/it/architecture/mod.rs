//! Rules for the source tree that the compiler does not check: layers, files, links and wording.

mod import_cycles;
mod wording;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layers, lowest first, and the lower layers that each may import.
const LAYERS: [(&str, &[&str]); 18] = [
    ("domain", &[]),
    ("clock", &[]),
    ("error_chain", &[]),
    ("worker_pool", &[]),
    ("file_access", &[]),
    ("metrics", &[]),
    ("client_limits", &["metrics"]),
    ("tls_verifier", &[]),
    ("auth", &["clock", "domain", "metrics", "worker_pool"]),
    ("store", &["domain", "error_chain", "file_access", "metrics", "tls_verifier", "worker_pool"]),
    ("rate_limits", &["clock", "domain", "error_chain", "store"]),
    ("key_store", &["auth", "file_access"]),
    ("mail", &["domain", "error_chain"]),
    (
        "api",
        &[
            "auth",
            "client_limits",
            "clock",
            "domain",
            "error_chain",
            "mail",
            "metrics",
            "rate_limits",
            "store",
        ],
    ),
    ("server", &["api", "client_limits", "file_access", "metrics", "rate_limits"]),
    (
        "config",
        &["auth", "domain", "file_access", "key_store", "mail", "rate_limits", "server", "store"],
    ),
    ("telemetry", &["config"]),
    (
        "cli",
        &[
            "api",
            "auth",
            "client_limits",
            "clock",
            "config",
            "domain",
            "file_access",
            "key_store",
            "mail",
            "metrics",
            "rate_limits",
            "server",
            "store",
            "telemetry",
            "tls_verifier",
            "worker_pool",
        ],
    ),
];

/// Crates that only these layers may import.
const RESTRICTED_CRATES: [(&str, &[&str]); 10] = [
    ("anyhow", &["cli"]),
    ("axum", &["api", "server"]),
    ("clap", &["cli", "main"]),
    ("deadpool_postgres", &["store"]),
    ("jsonwebtoken", &["auth"]),
    ("prometheus_client", &["metrics"]),
    ("rusqlite", &["store"]),
    ("rustls", &["cli", "mail", "server", "store", "tls_verifier"]),
    ("tokio_postgres", &["store"]),
    ("utoipa", &["api"]),
];

const MAX_FILE_LINES: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every file below the folder with this ending, sorted.
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

/// Returns the layer of a file in `src/`.
fn layer(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the lines of a file that are not comments.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).map(str::to_owned).collect()
}

/// Returns the word after each `prefix` in the line.
fn words_after(line: &str, prefix: &str) -> Vec<String> {
    let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
    line.match_indices(prefix)
        .map(|(start, _)| line[start + prefix.len()..].chars().take_while(is_word).collect())
        .collect()
}

#[test]
fn layers_import_only_lower_layers() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let layer = layer(&path);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            continue;
        };
        for line in code(&path) {
            for other in words_after(&line, "crate::") {
                if other != layer && !allowed.contains(&other.as_str()) {
                    wrong.push(format!("{}: {layer} must not import {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn restricted_crates_are_imported_only_by_their_layers() {
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let layer = layer(&path);
        for line in code(&path) {
            for (name, layers) in RESTRICTED_CRATES {
                let is_named = line.contains(&format!("{name}::"));
                if is_named && !layers.contains(&layer.as_str()) {
                    wrong.push(format!("{}: {layer} must not import {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_layer_is_listed() {
    let library = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let sources = files(&root().join("src"), ".rs");
    let layers: BTreeSet<String> = sources.iter().map(|path| layer(path)).collect();
    for layer in layers.iter().filter(|name| !["lib", "main"].contains(&name.as_str())) {
        let is_declared = library.contains(&format!("pub mod {layer};"));
        assert!(is_declared, "{layer} is not in src/lib.rs");
        let is_listed = LAYERS.iter().any(|(name, _)| name == layer);
        assert!(is_listed, "{layer} is not in LAYERS");
    }
}

#[test]
fn files_are_short_and_have_module_docs() {
    let mut wrong = Vec::new();
    let folders = ["src", "tests", "bench", "fuzz"].map(|folder| root().join(folder));
    for path in
        folders.iter().filter(|folder| folder.exists()).flat_map(|folder| files(folder, ".rs"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} has no module docs", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sources_contain_no_todo() {
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
fn files_have_meaningful_names() {
    for path in files(&root().join("src"), ".rs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        for empty in ["utils", "util", "common", "helpers", "helper", "misc", "manager", "service"]
        {
            assert_ne!(name, empty, "{}", path.display());
        }
    }
}

/// Every test that docs/security.md names exists.
#[test]
fn tests_named_in_the_security_page_exist() {
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

fn documents() -> Vec<PathBuf> {
    let documents = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let documents: Vec<_> = documents
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .chain(files(&root().join("docs"), ".md"))
        .chain(files(&root().join("contrib"), ".md"))
        .collect();
    assert!(documents.len() > 3, "no documents found");
    documents
}

/// Every relative link and every file named in a document exists.
#[test]
fn links_and_files_in_documents_exist() {
    let mut wrong = Vec::new();
    for document in documents() {
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

/// A reader of the installed package can follow its links. Debian has the license elsewhere.
#[test]
fn links_in_packaged_documents_lead_to_packaged_files() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let assets = manifest.lines().filter(|line| line.contains("\"usr/share/doc/post-api/"));
    let patterns: Vec<_> = assets.filter_map(|line| line.split('"').nth(1)).collect();
    let is_packaged = |path: &str| {
        patterns.iter().any(|pattern| match pattern.split_once('*') {
            Some((start, end)) => path
                .strip_prefix(start)
                .is_some_and(|rest| rest.ends_with(end) && !rest.contains('/')),
            None => path == *pattern,
        })
    };
    let mut checked = 0;
    for document in documents() {
        let path = document.strip_prefix(root()).unwrap();
        if !is_packaged(path.to_str().unwrap()) {
            continue;
        }
        let text = std::fs::read_to_string(&document).unwrap();
        for (_, target) in links(&text) {
            let linked = document.parent().unwrap().join(&target).canonicalize().unwrap();
            let linked = linked.strip_prefix(root()).unwrap().to_str().unwrap();
            assert!(
                linked == "LICENSE" || is_packaged(linked),
                "{} links {linked}",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked} links");
}

/// Returns the relative targets of `[text](target)`, without their fragment.
fn links(text: &str) -> Vec<(bool, String)> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap().to_owned());
    let is_file = |target: &String| !target.is_empty() && !target.contains("://");
    targets.filter(is_file).map(|target| (true, target)).collect()
}

/// Returns the files of the repository that are named between backticks.
fn named_files(text: &str) -> Vec<(bool, String)> {
    const FOLDERS: [&str; 9] = [
        "src/",
        "tests/",
        "docs/",
        "scripts/",
        "bench/",
        "fuzz/",
        "migrations/",
        "assets/",
        "contrib/",
    ];
    let quoted = text.split('`').skip(1).step_by(2);
    let is_plain = |name: &&str| {
        name.chars()
            .all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character))
    };
    let is_ours = |name: &&str| FOLDERS.iter().any(|folder| name.starts_with(folder));
    quoted.filter(is_plain).filter(is_ours).map(|name| (false, name.to_owned())).collect()
}

/// Release builds check for overflow, as test builds do.
#[test]
fn release_profile_checks_for_overflow() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let settings = manifest.lines().skip_while(|line| *line != "[profile.release]").skip(1);
    let is_checked = settings
        .take_while(|line| !line.starts_with('['))
        .any(|line| line == "overflow-checks = true");
    assert!(is_checked);
    // No dependency may opt out.
    assert!(!manifest.contains("overflow-checks = false"));
}
