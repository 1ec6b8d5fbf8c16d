//! Parses the command line and runs one command.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    post_api::cli::run(post_api::cli::Arguments::parse())
}
