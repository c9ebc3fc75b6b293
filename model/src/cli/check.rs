//! `check`.

use super::output::{tell, write_json};
use super::{SuiteName, default_traces, find_mutation, find_scope};
use clap::{Args, ValueEnum};
use kontiki_model::check::{CheckReport, CheckRow, check};
use kontiki_model::cluster::Reductions;
use kontiki_model::console::{grouped, progress_bar, seconds, table};
use kontiki_model::path::Path;
use kontiki_specs::scope::{Scope, Suite};
use std::path::PathBuf;

/// What to check and how.
#[derive(Args)]
pub struct Options {
    /// Scopes to check: a name as in `list`, or the path of a scope file. Without any, the suite.
    scopes: Vec<String>,
    /// Check every scope of a suite; `ci` if nothing else is said.
    #[arg(long, value_enum, conflicts_with = "scopes")]
    suite: Option<SuiteName>,
    /// Count the states with both explorers: stateright's depth-first and the breadth-first.
    #[arg(long)]
    cross_check: bool,
    /// Break a rule while checking.
    #[arg(long, value_name = "MUTATION")]
    mutation: Option<String>,
    /// Switch a reduction of the state space off.
    #[arg(long, value_enum)]
    without: Vec<Reduction>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder for the traces of counterexamples.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reduction {
    /// Keep messages that can make no difference any more.
    DeadMessages,
    /// Take states that differ only in the names of servers for different.
    Symmetry,
}

impl Options {
    /// Every scope of the `ci` suite.
    pub fn ci_suite() -> Self {
        Options {
            scopes: Vec::new(),
            suite: None,
            cross_check: false,
            mutation: None,
            without: Vec::new(),
            json: None,
            traces: default_traces(),
        }
    }

    fn scopes(&self) -> anyhow::Result<Vec<Scope>> {
        if !self.scopes.is_empty() {
            return self.scopes.iter().map(|name| find_scope(name)).collect();
        }
        let suite: Suite = self.suite.unwrap_or(SuiteName::Ci).into();
        let scopes = kontiki_model::scopes::builtin()?;
        Ok(scopes.into_iter().filter(|scope| scope.suite == Some(suite)).collect())
    }
}

/// Checks and prints; whether every scope is as it should be.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mutation = options.mutation.as_deref().map(find_mutation).transpose()?;
    let reductions = Reductions {
        dead_messages: !options.without.contains(&Reduction::DeadMessages),
        symmetry: !options.without.contains(&Reduction::Symmetry),
    };
    let mut shown = table(&[
        "scope",
        "states",
        "generated",
        "depth",
        "time",
        "states/cpu-s",
        "memory",
        "bytes/state",
        "verdict",
    ]);
    let mut rows = Vec::new();
    let mut good = true;
    let mut collision = 0.0;
    for mut scope in options.scopes()? {
        if reductions != Reductions::ALL {
            scope.unique_states = None; // What is pinned is the reduced count.
        }
        let bar = progress_bar(&scope.name, scope.unique_states);
        let report = check(&scope, mutation, reductions, options.cross_check, |seen| {
            bar.set_position(seen.unique_states);
            bar.set_message(seen.depth.to_string());
        });
        bar.finish_and_clear();
        eprintln!(
            "{}: {}, {} states in {}",
            scope.name,
            report.verdict,
            grouped(report.unique_states),
            seconds(report.time)
        );
        if let Some(actions) = &report.counterexample
            && let Some(path) = Path::follow(&report.cluster, actions)
        {
            let file = options.traces.join(format!("{}.trace.jsonl", scope.name));
            tell(&path, mutation, &format!("A counterexample in scope {}", scope.name), &file)?;
        }
        good &= report.verdict.is_good();
        collision += report.collision_probability();
        shown.add_row(cells(&report));
        rows.push(CheckRow::of(&report));
    }
    println!("{shown}");
    println!("Probability that a fingerprint collision hid a state: {collision:.1e}");
    write_json(&options.json, &rows)?;
    Ok(good)
}

fn cells(report: &CheckReport) -> Vec<String> {
    let rate = report.unique_states as f64 / report.cpu_time.as_secs_f64().max(0.01);
    vec![
        report.cluster.scope().name.clone(),
        grouped(report.unique_states),
        grouped(report.generated_states),
        report.depth.to_string(),
        seconds(report.time),
        grouped(rate as u64),
        format!("{} MiB", report.peak_memory >> 20),
        grouped(report.peak_memory / report.unique_states.max(1)),
        report.verdict.to_string(),
    ]
}
