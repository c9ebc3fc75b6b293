//! The commands.

mod document;
mod simulate;
mod traces;
mod verify;

use clap::{Parser, Subcommand};

/// Compares Kontiki's implementation with its checked model.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 if all is well, 1 if a property is broken, a mutation survives, \
    a count differs or model and implementation do, 2 if the command could not be carried out."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check every scope of a suite, replay its atlas on the implementation, simulate larger
    /// clusters, and run the mutations: what `cargo verify` does.
    Verify(verify::Options),
    /// Simulate clusters of implementation servers under faults, each server compared with the
    /// model at every step.
    Simulate(simulate::Options),
    /// Record everything that can happen to a server in a scope as a trace.
    Record(traces::RecordOptions),
    /// Replay traces of the model on the implementation.
    Replay(traces::FileOptions),
    /// Check traces that an implementation logged against the model.
    Validate(traces::FileOptions),
    /// Write what is verified, as the pinned numbers have it.
    Document(document::Options),
    /// Tell traces as stories.
    Tell(traces::FileOptions),
}

impl Arguments {
    /// Carries out the command; whether all is well.
    pub fn run(self) -> anyhow::Result<bool> {
        match self.command {
            Command::Verify(options) => verify::run(&options),
            Command::Simulate(options) => simulate::run(&options),
            Command::Record(options) => traces::record(&options),
            Command::Replay(options) => traces::replay(&options),
            Command::Validate(options) => traces::validate(&options),
            Command::Document(options) => document::run(&options),
            Command::Tell(options) => traces::tell(&options),
        }
    }
}
