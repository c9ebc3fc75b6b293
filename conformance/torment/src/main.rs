//! Processes of Kontiki servers under faults. README.md says what is done and who judges.

mod certificates;
mod clients;
mod cluster;
mod disk;
mod disk_faults;
mod history;
mod linearizable;
mod machine;
mod nemesis;
mod proxy;
mod run;
mod server;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    about = "Servers as processes, under faults, judged by clients, an oracle and the model."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Torments a cluster for a while, and judges.
    Run(run::Options),
    /// Is one server of a cluster. `run` starts these.
    #[command(hide = true)]
    Server(server::ServerOptions),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Server(options) => server::run(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Prints a line to standard error. If nobody reads it, nothing is lost.
fn tell(line: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "{line}"));
}
