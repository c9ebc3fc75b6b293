//! `claims`.

use super::output::{tell, write_json};
use anyhow::bail;
use clap::Args;
use kontiki_model::claims::{ClaimReport, ClaimRow, RunReport, UNDECIDED, decide};
use kontiki_model::console::{grouped, progress_bar, say, seconds, table};
use kontiki_model::jobs::{self, Done, Job, Limits, Work};
use kontiki_model::outcome::Outcome;
use kontiki_model::path::Path;
use kontiki_specs::scope::Scope;
use kontiki_specs::spelling::suggestion;
use kontiki_specs::{Claim, claims};
use std::path::PathBuf;

/// Which claims to decide.
#[derive(Args)]
pub struct Options {
    /// Claims by name or number, whose counterexamples are told, and what is true. Without any, all
    /// are decided.
    names: Vec<String>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder for the traces of counterexamples.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

impl Options {
    fn claims(&self) -> anyhow::Result<Vec<Claim>> {
        let all = claims()?;
        if self.names.is_empty() {
            return Ok(all);
        }
        let is = |claim: &Claim, name: &str| claim.name == name || claim.number.to_string() == name;
        if let Some(name) = self.names.iter().find(|name| !all.iter().any(|one| is(one, name))) {
            let known: Vec<&str> = all.iter().map(|claim| claim.name.as_str()).collect();
            let meant = suggestion(name, &known);
            bail!("unknown claim `{name}`{meant}\n  `list claims` shows all of them");
        }
        Ok(all.into_iter().filter(|one| self.names.iter().any(|name| is(one, name))).collect())
    }
}

/// What came of a claim.
struct Decided {
    row: ClaimRow,
    cells: Vec<Vec<String>>,
    /// What is really true, and the counterexamples, if they are to be told.
    story: Option<String>,
}

/// Decides and prints.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let jobs = options.claims()?.into_iter().map(|claim| options.job(claim));
    jobs::run(jobs.collect(), &options.limits).report(|done| report(done, &options.json))
}

fn report(
    done: Vec<Done<anyhow::Result<Decided>>>,
    json: &Option<PathBuf>,
) -> anyhow::Result<Outcome> {
    let heads = ["", "claim", "verdict", "scope", "mutation", "finds", "steps", "states", "time"];
    let mut shown = table(&heads);
    let (mut rows, mut outcomes) = (Vec::new(), Vec::new());
    for Done { result, .. } in done {
        let Decided { row, cells, story } = result?;
        story.iter().try_for_each(say)?;
        shown.add_rows(cells);
        outcomes.push(Outcome::unless(row.verdict != UNDECIDED, Outcome::NotShown));
        rows.push(row);
    }
    say(shown)?;
    write_json(json, &rows)?;
    Ok(outcomes.into_iter().collect())
}

impl Options {
    fn job(&self, claim: Claim) -> Job<'_, anyhow::Result<Decided>> {
        let states = claim.runs.iter().map(|run| Scope::find(&run.scope).ok()?.unique_states);
        let size = states.sum::<Option<u64>>();
        let bar = progress_bar(&claim.name, None);
        let work: Work<'_, _> = Box::new(move |bar| {
            let report = decide(&claim, |states, _, depth| {
                bar.set_position(states);
                bar.set_message(format!("states, depth {}", grouped(depth)));
            });
            match report {
                Ok(report) => (report.verdict(), self.decided(&report)),
                Err(error) => (error.to_string(), Err(error.into())),
            }
        });
        Job { bar, size, work }
    }

    fn decided(&self, report: &ClaimReport) -> anyhow::Result<Decided> {
        let runs = report.runs.iter().enumerate();
        let cells = runs.map(|(place, run)| cells(report, place == 0, run)).collect();
        let is_told = !self.names.is_empty();
        let story = is_told.then(|| self.explain(report)).transpose()?;
        Ok(Decided { row: ClaimRow::of(report), cells, story })
    }

    fn explain(&self, report: &ClaimReport) -> anyhow::Result<String> {
        let Claim { name, number, claim, truth, .. } = &report.claim;
        let mut told = format!("\n{number}. \"{claim}\": {}\n\n{truth}\n", report.verdict());
        for (place, run) in (1..).zip(&report.runs) {
            let breaking = run.mutation.map_or(String::new(), |rule| format!(" with {rule}"));
            let (scope, shows) = (&run.run.scope, &run.run.shows);
            told += &format!("Run {place}, scope {scope}{breaking}: {shows}\n");
            let path = run.found.as_ref().and_then(|found| Path::follow(&run.cluster, found));
            told += &match path {
                Some(path) => {
                    let file = self.traces.join(format!("{name}-{place}.trace.jsonl"));
                    tell(&path, run.mutation, shows, &file)? + "\n"
                }
                None => format!("All {} states were seen.\n\n", grouped(run.states_seen)),
            };
        }
        Ok(told)
    }
}

/// A claim's first run tells the claim; the others stand below it.
fn cells(report: &ClaimReport, first: bool, run: &RunReport) -> Vec<String> {
    let once = |text: String| if first { text } else { String::new() };
    let finds = if run.is_as_expected() {
        run.run.expects.to_string()
    } else {
        format!("NOT SO: {}", run.run.expects)
    };
    vec![
        once(report.claim.number.to_string()),
        once(report.claim.name.clone()),
        once(report.verdict()),
        run.run.scope.clone(),
        run.run.mutation.clone().unwrap_or_default(),
        finds,
        run.found.as_ref().map_or("all".to_string(), |path| path.len().to_string()),
        grouped(run.states_seen),
        seconds(run.time),
    ]
}
