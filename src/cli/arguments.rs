//! Lets options stand before the command: `post-api --env-file prod.env db upgrade`.

use std::collections::VecDeque;
use std::ffi::OsString;

use clap::{ArgAction, CommandFactory as _};

use super::Arguments;

/// Moves the options before the command behind the command, whose parser then accepts or rejects
/// them as its own. Leaves arguments unchanged that have no command or have an unknown option.
pub(super) fn move_options_behind_command(
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(position) = command_position(&arguments)
        && let Some(options_and_command) = arguments.get_mut(1..=position)
    {
        options_and_command.rotate_right(1);
    }
    arguments
}

fn command_position(arguments: &[OsString]) -> Option<usize> {
    let parser = Arguments::command();
    let mut rest: VecDeque<(usize, &OsString)> = arguments.iter().enumerate().skip(1).collect();
    loop {
        let (position, argument) = rest.pop_front()?;
        let argument = argument.to_str()?;
        let Some(option) = argument.strip_prefix("--") else {
            return parser.find_subcommand(argument).map(|_| position);
        };
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let known = parser.get_arguments().find(|known| known.get_long() == Some(name))?;
        if matches!(known.get_action(), ArgAction::Set) && value.is_none() {
            rest.pop_front()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_options_before_a_command_are_moved() {
        for (before, after) in [
            ("--port 1 serve", "serve --port 1"),
            ("--port=1 --upgrade serve --host ::1", "serve --port=1 --upgrade --host ::1"),
            ("--env-file serve db upgrade", "db --env-file serve upgrade"),
            ("--env-file db", "--env-file db"),
            ("--env-file", "--env-file"),
            ("--port 1", "--port 1"),
            ("db --env-file x upgrade", "db --env-file x upgrade"),
            ("--unknown db", "--unknown db"),
            ("--unknown=1 db", "--unknown=1 db"),
            ("--help db", "--help db"),
            ("-V db", "-V db"),
            ("-- db", "-- db"),
            ("", ""),
        ] {
            let split = |line: &str| -> Vec<OsString> {
                ["post-api"].into_iter().chain(line.split_whitespace()).map(Into::into).collect()
            };
            assert_eq!(move_options_behind_command(split(before)), split(after), "{before}");
        }
    }
}
