//! The commands.

mod check;
mod claims;
mod explore;
mod list;
mod mutants;
mod output;
mod simulate;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use kontiki_model::server::Mutation;
use kontiki_specs::scope::{Scope, Suite};
use std::path::PathBuf;

/// Raft, model-checked: every interleaving of a small cluster, within the bounds of a scope.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 if all is well, 1 if a property is broken, a \
    mutation survives, a count differs or a claim is not decided, 2 if the command could not be carried out."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check scopes exhaustively.
    Check(check::Options),
    /// Break the rules one at a time and find a counterexample for each.
    Mutants(mutants::Options),
    /// Decide what people say of Raft.
    Claims(claims::Options),
    /// Serve the Stateright Explorer on a scope, to walk through its states in a browser.
    Explore(explore::Options),
    /// Take random walks through a scope that is too large to exhaust.
    Simulate(simulate::Options),
    /// List scopes, properties, goals, mutations and rules.
    List,
    /// Check every scope of the `ci` suite, then run the mutants: the model's part of `cargo verify`.
    Verify,
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
    /// Carries out the command; whether all is well.
    pub fn run(self) -> anyhow::Result<bool> {
        match self.command {
            Command::Check(options) => check::run(&options),
            Command::Mutants(options) => mutants::run(&options),
            Command::Claims(options) => claims::run(&options),
            Command::Explore(options) => explore::run(&options),
            Command::Simulate(options) => simulate::run(&options),
            Command::List => list::run(),
            Command::Verify => {
                let checked = check::run(&check::Options::ci_suite())?;
                let killed = mutants::run(&mutants::Options::all())?;
                Ok(checked && killed)
            }
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
    Mutation::from_name(name)
        .with_context(|| format!("no mutation is called `{name}`; `list` shows all of them"))
}
