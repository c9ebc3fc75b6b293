//! The command line: check scopes, run mutants, explore, simulate.

// What is printed goes through `console`, which puts up with a reader that has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use clap::Parser;
use kontiki_model::console::remark;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            remark(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
