//! No two files of `src/` import each other, directly or through others. A file can then be read
//! with only the files that it imports.
//!
//! A `mod.rs` counts as a directory: an import of one of its re-exports is an import of the file
//! that defines the name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{code, files, root};

#[test]
fn source_files_have_no_import_cycle() {
    let sources = Sources::read();
    let imports: BTreeMap<_, _> =
        sources.paths().map(|path| (path.clone(), sources.imports(path))).collect();
    let in_cycle: Vec<_> = imports
        .keys()
        .filter(|path| reachable(&imports, path).contains(*path))
        .map(|path| path.display().to_string())
        .collect();
    assert!(in_cycle.is_empty(), "these files import each other:\n{}", in_cycle.join("\n"));
}

/// Returns every file that can be reached from the imports of this one.
fn reachable(imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>, path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<_> = imports[path].iter().cloned().collect();
    while let Some(next) = pending.pop() {
        if found.insert(next.clone()) {
            pending.extend(imports[&next].iter().cloned());
        }
    }
    found
}

/// The code of every file, by the path of its module: `["store", "sqlite", "votes"]`.
struct Sources {
    modules: BTreeMap<Vec<String>, (PathBuf, Vec<UsePath>)>,
}

/// A path of a `use` item, split at `::`, and whether it is a re-export.
struct UsePath {
    segments: Vec<String>,
    is_public: bool,
}

impl Sources {
    fn read() -> Self {
        let source = root().join("src");
        let modules = files(&source, ".rs").into_iter().map(|path| {
            let inside = path.strip_prefix(&source).unwrap().with_extension("");
            let mut module: Vec<_> =
                inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(module.last().unwrap().as_str(), "mod" | "lib" | "main") {
                module.pop();
            }
            let uses = use_paths(&code(&path).join(" "));
            (module, (path, uses))
        });
        Self { modules: modules.collect() }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.modules.values().map(|(path, _)| path).filter(|path| !is_directory(path))
    }

    /// Returns the files that this file imports from.
    fn imports(&self, path: &Path) -> BTreeSet<PathBuf> {
        let (module, (_, uses)) =
            self.modules.iter().find(|(_, (other, _))| other == path).unwrap();
        let targets = uses.iter().filter_map(|item| self.resolve(module, &item.segments));
        targets.filter(|target| target != path && !is_directory(target)).collect()
    }

    /// Returns the file that defines the name of the path, if the file is in `src/`.
    fn resolve(&self, module: &[String], segments: &[String]) -> Option<PathBuf> {
        let mut current = module.to_vec();
        let mut rest = segments;
        match rest.first()?.as_str() {
            "crate" => current.clear(),
            "self" => {}
            "super" => {
                current.pop();
            }
            name => {
                current.push(name.to_owned());
                self.modules.get(&current)?;
            }
        }
        rest = &rest[1..];
        while let Some((next, behind)) = rest.split_first() {
            let mut child = current.clone();
            if next == "super" {
                child.pop();
            } else {
                child.push(next.clone());
            }
            if !self.modules.contains_key(&child) {
                break;
            }
            current = child;
            rest = behind;
        }
        let (path, uses) = self.modules.get(&current)?;
        let Some(name) = rest.first().filter(|_| is_directory(path)) else {
            return Some(path.clone());
        };
        let exported =
            uses.iter().find(|item| item.is_public && item.segments.last() == Some(name));
        exported.and_then(|item| self.resolve(&current, &item.segments)).or(Some(path.clone()))
    }
}

fn is_directory(path: &Path) -> bool {
    matches!(path.file_name().unwrap().to_str().unwrap(), "mod.rs" | "lib.rs" | "main.rs")
}

/// Returns the paths of all `use` items in the code, with their braces expanded.
fn use_paths(code: &str) -> Vec<UsePath> {
    let mut paths = Vec::new();
    for (start, _) in code.match_indices("use ") {
        let before = code[..start].trim_end();
        let is_item = before.is_empty() || before.ends_with([';', '}', '{', ')', ']', 'b']);
        let Some(tree) = code[start + 4..].split(';').next().filter(|_| is_item) else {
            continue;
        };
        let is_public = before.ends_with("pub") || before.ends_with(')');
        expand(&tree.replace(char::is_whitespace, ""), "", &mut |path| {
            let segments = path.split("::").map(str::to_owned).collect();
            paths.push(UsePath { segments, is_public });
        });
    }
    paths
}

fn expand(tree: &str, prefix: &str, found: &mut impl FnMut(&str)) {
    let mut depth = 0;
    let is_separator = |character: char| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        character == ',' && depth == 0
    };
    for part in tree.split(is_separator).filter(|part| !part.is_empty()) {
        match part.split_once('{') {
            Some((path, inner)) => {
                let inner = inner.strip_suffix('}').unwrap_or(inner);
                expand(inner, &format!("{prefix}{path}"), found);
            }
            None => found(format!("{prefix}{part}").trim_end_matches("::self")),
        }
    }
}
