//! `post-api man [DIR]`: writes the manual pages, which have the text of `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::Arguments;
use super::exit::Exit;
use super::output::print;

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Folder for one page per command; without it the page of `post-api` is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(arguments: &ManArguments) -> Result<(), Exit> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    match &arguments.folder {
        None => print(&page_of(&command)?),
        Some(folder) => {
            let made = fs::create_dir_all(folder);
            made.with_context(|| format!("could not create the folder {}", folder.display()))?;
            write_pages(folder, &command)
        }
    }
}

/// Writes the page of the command and those of its subcommands, such as `post-api-db-upgrade.1`.
fn write_pages(folder: &Path, command: &Command) -> Result<(), Exit> {
    let path = folder.join(format!("{}.1", name_of(command)));
    fs::write(&path, page_of(command)?)
        .with_context(|| format!("could not write {}", path.display()))?;
    command.get_subcommands().try_for_each(|command| write_pages(folder, command))
}

fn page_of(command: &Command) -> Result<String, Exit> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title(name_of(command)).manual("Post Management API");
    man.render(&mut page).context("could not render the manual page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}
