//! The commands.

mod document;
mod simulate;
mod traces;
mod verify;

use clap::{Parser, Subcommand};
use kontiki_model::outcome::{EXIT_STATUSES, Outcome};

/// Compares Kontiki's implementation with its checked model.
#[derive(Parser)]
#[command(version, after_help = EXIT_STATUSES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check every scope of a suite, replay its atlas on the implementation, simulate larger
    /// clusters, and run the mutations: what `cargo verify` does.
    #[command(after_help = EXIT_STATUSES)]
    Verify(verify::Options),
    /// Simulate clusters of implementation servers under faults, each server compared with the
    /// model at every step.
    #[command(after_help = EXIT_STATUSES)]
    Simulate(simulate::Options),
    /// Record everything that can happen to a server in a scope as a trace.
    #[command(after_help = EXIT_STATUSES)]
    Record(traces::RecordOptions),
    /// Replay traces of the model on the implementation.
    #[command(after_help = EXIT_STATUSES)]
    Replay(traces::FileOptions),
    /// Check traces that an implementation logged against the model.
    #[command(after_help = EXIT_STATUSES)]
    Validate(traces::ValidateOptions),
    /// Write `specs/VERIFIED.md`: what is verified, from the pinned numbers.
    Document(document::Options),
    /// Tell traces as stories: each step as one event and what it changed. Nothing is checked: a
    /// story is told as the trace has it. `replay` and `validate` check.
    Tell(traces::FileOptions),
}

impl Arguments {
    /// Carries out the command.
    pub fn run(self) -> anyhow::Result<Outcome> {
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
