//! The documentation page of all commands, generated from their help.

use clap::{Command, CommandFactory as _};

use super::Arguments;

/// Width of the help texts in columns.
const WIDTH: usize = 96;

/// Returns the content of `docs/cli.md`.
#[must_use]
pub fn commands_page() -> String {
    const HEAD: &str = "# Commands

`post-api` without a command serves. Commands read the [settings](settings.md), and their options take
precedence. This page is the output of `--help` for each command.
";
    let mut page = HEAD.to_owned();
    let mut command = Arguments::command();
    command.build();
    add_help(&mut page, &command);
    page
}

/// Adds the help of the command and of its subcommands.
fn add_help(page: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or("post-api");
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.extend(["\n## ", name, "\n\n```text\n", &lines.join("\n"), "\n```\n"]);
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    commands.for_each(|command| add_help(page, command));
}
