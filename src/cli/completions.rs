//! `post-api completions SHELL`: prints the script that completes commands and options in a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Arguments;
use super::exit::Exit;
use super::output::print;

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// Shell that reads the script
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "post-api", &mut script);
    // clap_complete 4.6 writes the hyphen of a program in two ways, so bash would find no options.
    print(&String::from_utf8_lossy(&script).replace("post__subcmd__api", "post__api"))
}
