//! `check`.

use super::output::{tell, write_json};
use super::{SuiteName, default_traces, find_mutation, find_scope};
use clap::{Args, ValueEnum};
use kontiki_model::bounded::Bounds;
use kontiki_model::check::{CheckOptions, CheckReport, CheckRow, check};
use kontiki_model::cluster::Reductions;
use kontiki_model::console::{grouped, progress_bar, say, seconds, table};
use kontiki_model::jobs::{self, Done, Job, Limits, Usage, Work};
use kontiki_model::outcome::Outcome;
use kontiki_model::path::Path;
use kontiki_model::server::Mutation;
use kontiki_specs::scope::{Scope, Suite};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

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
    /// End the check of a scope once so many states are explored, and say what is known by then.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_states: Option<u64>,
    /// End the check of a scope after so many seconds, and say what is known by then.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    time: Option<u64>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder for the traces of counterexamples.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reduction {
    /// Keep messages that can make no difference any more.
    DeadMessages,
    /// Count states that differ only in the names of servers separately.
    Symmetry,
}

impl Options {
    /// Every scope of the `ci` suite.
    pub fn ci_suite(limits: Limits) -> Self {
        Options {
            scopes: Vec::new(),
            suite: None,
            cross_check: false,
            mutation: None,
            without: Vec::new(),
            max_states: None,
            time: None,
            json: None,
            traces: default_traces(),
            limits,
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

/// What came of a scope.
pub struct Checked {
    row: CheckRow,
    outcome: Outcome,
    /// The counterexample, if there is one.
    story: Option<String>,
}

/// Checks and prints.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    jobs::run(options.jobs()?, &options.limits).report(|done| report(done, &options.json))
}

/// Prints what came of the scopes.
pub fn report(
    done: Vec<Done<anyhow::Result<Checked>>>,
    json: &Option<PathBuf>,
) -> anyhow::Result<Outcome> {
    let mut shown = table(&[
        "scope",
        "states",
        "generated",
        "depth",
        "time",
        "states/s",
        "processor",
        "memory",
        "bytes/state",
        "verdict",
    ]);
    let (mut rows, mut outcomes) = (Vec::new(), Vec::new());
    for Done { result, usage, .. } in done {
        let Checked { row, outcome, story } = result?;
        story.iter().try_for_each(say)?;
        shown.add_row(cells(&row, usage));
        rows.push(row.with(usage));
        outcomes.push(outcome);
    }
    say(shown)?;
    rows.iter().filter(|row| row.ended_early).try_for_each(tell_so_far)?;
    let collision: f64 = rows.iter().map(CheckRow::collision_probability).sum();
    say(format_args!("Probability that a fingerprint collision hid a state: {collision:.1e}"))?;
    write_json(json, &rows)?;
    Ok(outcomes.into_iter().collect())
}

impl Options {
    /// A job for each scope.
    pub fn jobs(&self) -> anyhow::Result<Vec<Job<'_, anyhow::Result<Checked>>>> {
        let options = self.check_options()?;
        let jobs = self.scopes()?.into_iter().map(|mut scope| {
            if options.reductions != Reductions::ALL {
                scope.unique_states = None; // What is pinned is the reduced count.
            }
            let size = scope.unique_states;
            let bar = progress_bar(&scope.name, size);
            let work: Work<'_, _> = Box::new(move |bar| {
                let report = check(&scope, &options, |seen| {
                    bar.set_position(seen.unique_states);
                    bar.set_message(format!("states, depth {}", grouped(seen.depth)));
                });
                let states = grouped(report.unique_states);
                (
                    format!("{}, {states} states", report.verdict),
                    self.checked(options.mutation, &report),
                )
            });
            Job { bar, size, work }
        });
        Ok(jobs.collect())
    }

    fn check_options(&self) -> anyhow::Result<CheckOptions> {
        let time = self.time.map(Duration::from_secs);
        Ok(CheckOptions {
            mutation: self.mutation.as_deref().map(find_mutation).transpose()?,
            reductions: Reductions {
                dead_messages: !self.without.contains(&Reduction::DeadMessages),
                symmetry: !self.without.contains(&Reduction::Symmetry),
            },
            cross_check: self.cross_check,
            bounds: Bounds { states: self.max_states, time },
        })
    }

    /// All that is kept of a report: a cluster's tables are large.
    fn checked(&self, mutation: Option<Mutation>, report: &CheckReport) -> anyhow::Result<Checked> {
        let found = report.counterexample.as_ref();
        let path = found.and_then(|actions| Path::follow(&report.cluster, actions));
        let name = &report.cluster.scope().name;
        let file = self.traces.join(format!("{name}.trace.jsonl"));
        let about = format!("A counterexample in scope {name}");
        let story = path.map(|path| tell(&path, mutation, &about, &file)).transpose()?;
        Ok(Checked { row: CheckRow::of(report), outcome: report.verdict.outcome(), story })
    }
}

/// What is known of a scope of which not all was seen.
fn tell_so_far(row: &CheckRow) -> io::Result<()> {
    let of = |so_far: &str| {
        let goals = row.properties.iter().filter(|(_, known)| **known == so_far);
        let names: Vec<&str> = goals.map(|(name, _)| *name).collect();
        if names.is_empty() { "nothing".to_string() } else { names.join(", ") }
    };
    say(format_args!(
        "{}: no property is broken in the {} states seen; reached: {}; not reached so far: {}",
        row.scope,
        grouped(row.unique_states),
        of("reached"),
        of("not reached so far"),
    ))
}

fn cells(row: &CheckRow, usage: Option<Usage>) -> Vec<String> {
    let rate = row.unique_states as f64 / row.seconds.max(0.001);
    let known = |text: fn(Usage, &CheckRow) -> String| {
        usage.map_or("-".to_string(), |usage| text(usage, row))
    };
    vec![
        row.scope.clone(),
        grouped(row.unique_states),
        grouped(row.generated_states),
        grouped(row.depth),
        seconds(Duration::from_secs_f64(row.seconds)),
        grouped(rate as u64),
        known(|usage, _| seconds(usage.cpu_time)),
        known(|usage, _| format!("{} MiB", grouped(usage.peak_memory >> 20))),
        known(|usage, row| grouped(usage.peak_memory / row.unique_states.max(1))),
        row.verdict.clone(),
    ]
}
