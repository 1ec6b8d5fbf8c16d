//! `post-api man`: a manual page for each command.

use std::collections::BTreeSet;

use super::{folder, run};

#[test]
fn every_command_has_a_page() {
    let folder = folder();
    assert_eq!(run(folder.path(), "man pages/man1").expect(0).output, "");
    let pages = std::fs::read_dir(folder.path().join("pages/man1")).unwrap();
    let pages: BTreeSet<String> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    // The list of commands is generated from their parser too.
    let commands = include_str!("../../../docs/cli.md");
    let commands = commands.lines().filter_map(|line| line.strip_prefix("## "));
    let expected = commands.map(|command| format!("{}.1", command.replace(' ', "-"))).collect();
    assert_eq!(pages, expected);
    for page in &pages {
        let path = folder.path().join("pages/man1").join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let name = page.strip_suffix(".1").unwrap();
        assert!(text.contains(&format!(".TH {name} 1 ")), "{text}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
            assert!(text.contains(section), "{page} has no {section}");
        }
    }
}

#[test]
fn main_page_is_printed_without_a_folder() {
    let folder = folder();
    let printed = run(folder.path(), "man").expect(0).output;
    assert!(printed.contains(".TH post-api 1 ") && printed.contains("healthcheck"), "{printed}");
    run(folder.path(), "man pages").expect(0);
    let written = std::fs::read_to_string(folder.path().join("pages/post-api.1")).unwrap();
    assert_eq!(printed, written);
}

#[test]
fn folder_that_cannot_be_made_is_named() {
    let folder = folder();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = run(folder.path(), "man file/pages").expect(1).error;
    assert!(error.starts_with("error: could not create the folder file/pages: "), "{error}");
}
