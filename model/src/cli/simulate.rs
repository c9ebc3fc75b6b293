//! `simulate`.

use super::output::tell;
use super::{find_mutation, find_scope};
use clap::Args;
use kontiki_model::console::{grouped, progress_bar, say};
use kontiki_model::outcome::Outcome;
use kontiki_model::path::Path;
use kontiki_model::simulate::simulate;
use std::path::PathBuf;

/// Where to walk and how far.
#[derive(Args)]
pub struct Options {
    /// A scope: a name as in `list`, or the path of a scope file.
    scope: String,
    /// The seed of the first walk; each walk adds 1.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many walks to take.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    walks: u64,
    /// Break a rule.
    #[arg(long, value_name = "MUTATION")]
    mutation: Option<String>,
    /// The folder for the trace of a counterexample.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
}

/// Walks and prints.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let scope = find_scope(&options.scope)?;
    let mutation = options.mutation.as_deref().map(find_mutation).transpose()?;
    let bar = progress_bar(&scope.name, None);
    let report = simulate(&scope, mutation, options.seed, options.walks, |walks, steps| {
        bar.set_position(steps);
        bar.set_message(format!("steps, walk {}", grouped(walks)));
    });
    bar.finish_and_clear();
    say(format_args!(
        "{} walks, {} steps, the longest {}; reached: {}",
        grouped(report.walks),
        grouped(report.steps),
        grouped(report.longest as u64),
        report.goals.iter().map(|goal| goal.name()).collect::<Vec<_>>().join(", "),
    ))?;
    let Some((cluster, actions)) = &report.counterexample else {
        say("Every property holds in all of them.")?;
        return Ok(Outcome::AllIsWell);
    };
    let seed = options.seed.wrapping_add(report.walks - 1);
    if let Some(path) = Path::follow(cluster, actions) {
        let file = options.traces.join(format!("{}-seed-{seed}.trace.jsonl", scope.name));
        let about = format!("The walk with seed {seed} breaks a property");
        say(tell(&path, mutation, &about, &file)?)?;
    }
    say(format_args!("Again: simulate {} --seed {seed} --walks 1", options.scope))?;
    Ok(Outcome::Broken)
}
