//! The commands.

mod check;
mod claims;
mod explore;
mod list;
mod mutants;
mod output;
mod simulate;
mod verify;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use kontiki_model::jobs::Limits;
use kontiki_model::outcome::{EXIT_STATUSES, Outcome};
use kontiki_model::server::Mutation;
use kontiki_specs::scope::{Scope, Suite};
use kontiki_specs::spelling::suggestion;
use std::path::PathBuf;

/// Raft, model-checked: every interleaving of a small cluster, within the bounds of a scope.
#[derive(Parser)]
#[command(version, after_help = EXIT_STATUSES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check scopes exhaustively.
    #[command(after_help = EXIT_STATUSES)]
    Check(check::Options),
    /// Break the rules one at a time and find a counterexample for each.
    #[command(after_help = EXIT_STATUSES)]
    Mutants(mutants::Options),
    /// Decide what people say of Raft.
    #[command(after_help = EXIT_STATUSES)]
    Claims(claims::Options),
    /// Serve a page to walk through the states of a scope in a browser.
    Explore(explore::Options),
    /// Take random walks through a scope that is too large to exhaust.
    #[command(after_help = EXIT_STATUSES)]
    Simulate(simulate::Options),
    /// List scopes, properties, goals, mutations, claims and rules.
    List(list::Options),
    /// Check every scope of the `ci` suite, then run the mutants: the model's part of `cargo verify`.
    #[command(after_help = EXIT_STATUSES)]
    Verify(Limits),
}

#[derive(Clone, Copy, ValueEnum)]
enum SuiteName {
    Ci,
    Deep,
}

impl From<SuiteName> for Suite {
    fn from(name: SuiteName) -> Suite {
        match name {
            SuiteName::Ci => Suite::Ci,
            SuiteName::Deep => Suite::Deep,
        }
    }
}

impl Arguments {
    /// Carries out the command.
    pub fn run(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::Check(options) => check::run(&options),
            Command::Mutants(options) => mutants::run(&options),
            Command::Claims(options) => claims::run(&options),
            Command::Explore(options) => explore::run(&options),
            Command::Simulate(options) => simulate::run(&options),
            Command::List(options) => list::run(&options),
            Command::Verify(limits) => verify::run(limits),
        }
    }
}

/// Where counterexamples are written, unless told otherwise.
fn default_traces() -> PathBuf {
    PathBuf::from("out")
}

fn find_scope(name_or_path: &str) -> anyhow::Result<Scope> {
    Ok(kontiki_model::scopes::find(name_or_path)?)
}

fn find_mutation(name: &str) -> anyhow::Result<Mutation> {
    Mutation::from_name(name).with_context(|| {
        let known: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
        let meant = suggestion(name, &known);
        format!("unknown mutation `{name}`{meant}\n  `list mutations` shows all of them")
    })
}
