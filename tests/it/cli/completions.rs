//! `post-api completions`: scripts for shells, which complete every command and option.

use std::process::Command;

use super::{folder, run};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

#[test]
fn script_of_each_shell_has_the_commands_and_options() {
    let folder = folder();
    for shell in SHELLS {
        let script = run(folder.path(), &format!("completions {shell}")).expect(0).output;
        for word in ["healthcheck", "upgrade", "sign-out", "env-file", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn unknown_shell_is_refused_with_the_list() {
    let folder = folder();
    let error = run(folder.path(), "completions tcsh").expect(2).error;
    assert!(error.contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{error}");
    run(folder.path(), "completions").expect(2);
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = folder();
    let script = run(folder.path(), "completions bash").expect(0).output;
    std::fs::write(folder.path().join("post-api.bash"), script).unwrap();
    for (words, completed) in [
        ("post-api hea", "healthcheck"),
        ("post-api db upg", "upgrade"),
        ("post-api user list --disa", "--disabled"),
        ("post-api serve --ho", "--host"),
    ] {
        let current = words.rsplit_once(' ').unwrap().1;
        let complete = format!(
            ". ./post-api.bash; name=$(complete -p post-api); name=${{name##*-F }}; COMP_WORDS=({words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             ${{name%% *}} post-api {current} before; echo \"${{COMPREPLY[*]}}\""
        );
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-c", &complete]).current_dir(folder.path());
        let output = bash.output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{words}");
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), completed, "{words}");
    }
}
