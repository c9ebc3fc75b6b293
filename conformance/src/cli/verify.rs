//! `verify`.

use anyhow::Context;
use clap::{Args, ValueEnum};
use kontiki_conformance::implementation::Memory;
use kontiki_conformance::simulate::{
    DriversOptions, DriversReport, SimulationOptions, SimulationReport, simulate, simulate_drivers,
};
use kontiki_conformance::verify::{ScopeRow, Stage, verify};
use kontiki_model::console::{grouped, progress_bar, say, seconds, table, write_json};
use kontiki_model::jobs::{self, Done, Job, Limits, Work};
use kontiki_model::mutants::{self, MutantReport, MutantRow};
use kontiki_model::outcome::Outcome;
use kontiki_model::scopes;
use kontiki_specs::mutation_rows;
use kontiki_specs::scope::{Scope, Suite};
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to verify.
#[derive(Args)]
pub struct Options {
    /// Scopes: names, or paths of scope files; the mutations are left out then. Without any, the
    /// suite.
    scopes: Vec<String>,
    /// Every scope of a suite, and the mutations; `ci` if nothing else is said.
    #[arg(long, value_enum, conflicts_with = "scopes")]
    suite: Option<SuiteName>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Clone, Copy, ValueEnum)]
enum SuiteName {
    Ci,
    Deep,
}

impl Options {
    fn scopes(&self) -> anyhow::Result<Vec<Scope>> {
        if !self.scopes.is_empty() {
            return self.scopes.iter().map(|name| Ok(scopes::find(name)?)).collect();
        }
        let suite = match self.suite.unwrap_or(SuiteName::Ci) {
            SuiteName::Ci => Suite::Ci,
            SuiteName::Deep => Suite::Deep,
        };
        let scopes = scopes::builtin()?.into_iter();
        Ok(scopes.filter(|scope| scope.suite == Some(suite)).collect())
    }
}

#[derive(Serialize)]
struct SimulationRow {
    servers: u64,
    /// Whether the library's driver runs the servers.
    drivers: bool,
    steps: u64,
    runs: u64,
    verdict: String,
    finding: Option<String>,
    /// By the clock.
    seconds: f64,
}

#[derive(Default, Serialize)]
struct Report {
    scopes: Vec<ScopeRow>,
    simulations: Vec<SimulationRow>,
    mutants: Vec<MutantRow>,
    all_is_well: bool,
}

/// What is verified by itself, beside the others.
enum Part {
    Scope(Box<ScopeRow>),
    Simulation(SimulationRow),
    Mutation(MutantRow),
}

/// A part, and what it is for the command.
type Verified = anyhow::Result<(Part, Outcome)>;

/// Verifies and prints.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    jobs::run(options.jobs()?, &options.limits).report(|done| judge(done, &options.json))
}

fn judge(done: Vec<Done<Verified>>, json: &Option<PathBuf>) -> anyhow::Result<Outcome> {
    let (mut report, mut outcomes) = (Report::default(), Vec::new());
    for Done { result, usage, .. } in done {
        let (part, outcome) = result?;
        outcomes.push(outcome);
        match part {
            Part::Scope(row) => {
                report.scopes.push(ScopeRow { check: row.check.with(usage), ..*row });
            }
            Part::Simulation(row) => report.simulations.push(row),
            Part::Mutation(row) => report.mutants.push(row),
        }
    }
    let outcome: Outcome = outcomes.into_iter().collect();
    report.all_is_well = outcome == Outcome::AllIsWell;
    print(&report)?;
    if let Some(file) = json {
        write_json(file, &report).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(outcome)
}

impl Options {
    fn jobs(&self) -> anyhow::Result<Vec<Job<'_, Verified>>> {
        let scopes = self.scopes()?;
        anyhow::ensure!(!scopes.is_empty(), "there are no scopes in the suite");
        let mut jobs: Vec<_> = scopes.into_iter().map(verify_scope).collect();
        if self.scopes.is_empty() {
            jobs.extend(SimulationOptions::OF_VERIFY.map(simulate_clusters));
            jobs.extend(DriversOptions::OF_VERIFY.map(simulate_clusters_of_drivers));
            let rows = mutation_rows()?;
            anyhow::ensure!(!rows.is_empty(), "there are no mutations");
            for row in rows {
                jobs.push(mutants::job(row)?.map(|report| Ok(judge_mutation(&report?))));
            }
        }
        Ok(jobs)
    }
}

/// Checks a scope and replays its atlas.
fn verify_scope(scope: Scope) -> Job<'static, Verified> {
    // Each transition is replayed with as much of the log in memory as `Memory` says.
    let replayed = scope.local_transitions.unwrap_or(0) * Memory::ALL.len() as u64;
    let size = scope.unique_states.map(|states| states + replayed);
    let bar = progress_bar(&scope.name, scope.unique_states);
    let work: Work<'_, _> = Box::new(move |bar| {
        let report = verify(&scope, |stage| match stage {
            Stage::Check(seen) => {
                bar.set_position(seen.unique_states);
                bar.set_message(format!("states, depth {}", grouped(seen.depth)));
            }
            Stage::Replay(nth) => {
                bar.set_message(format!("states, replay {nth} of {}", Memory::ALL.len()));
            }
        });
        match report {
            Ok(report) => {
                let states = grouped(report.check.unique_states);
                let said = format!("{}, {states} states", report.verdict);
                let part = Part::Scope(Box::new(ScopeRow::of(&report)));
                (said, Ok((part, report.verdict.outcome())))
            }
            Err(error) => (error.to_string(), Err(error.into())),
        }
    });
    Job { bar, size, work }
}

/// Simulates clusters that are too large to be exhausted.
fn simulate_clusters(what: SimulationOptions) -> Job<'static, Verified> {
    let SimulationOptions { servers, steps, .. } = what;
    let bar = progress_bar(&format!("{servers} servers at random"), Some(steps));
    let work: Work<'_, _> = Box::new(move |bar| {
        let started = Instant::now();
        let report = simulate(&what, |report| {
            bar.set_position(report.steps.min(steps));
            bar.set_message(format!("steps in {} clusters", grouped(report.runs)));
        });
        match report {
            Ok(report) => {
                let (row, outcome) = judge_simulation(servers, &report, started.elapsed());
                let said = format!("{}, {} steps", row.verdict, grouped(row.steps));
                (said, Ok((Part::Simulation(row), outcome)))
            }
            Err(error) => (error.to_string(), Err(error.into())),
        }
    });
    Job { bar, size: Some(steps), work }
}

fn judge_simulation(
    servers: u64,
    report: &SimulationReport,
    time: Duration,
) -> (SimulationRow, Outcome) {
    let unexercised = report.exercised.counts().into_iter().find(|(_, count)| *count == 0);
    let unexercised = unexercised.map(|(what, _)| what);
    let (verdict, outcome) = verdict_of_simulation(report.finding.is_some(), unexercised);
    let row = SimulationRow {
        servers,
        drivers: false,
        steps: report.steps,
        runs: report.runs,
        verdict,
        finding: report.finding.as_ref().map(ToString::to_string),
        seconds: time.as_secs_f64(),
    };
    (row, outcome)
}

/// What exercises too little shows too little.
fn verdict_of_simulation(found: bool, unexercised: Option<&str>) -> (String, Outcome) {
    match (found, unexercised) {
        (true, _) => ("FOUND".to_string(), Outcome::Broken),
        (false, Some(what)) => (format!("NOT EXERCISED: {what}"), Outcome::NotReached),
        (false, None) => ("holds".to_string(), Outcome::AllIsWell),
    }
}

/// Simulates clusters that the library's driver runs.
fn simulate_clusters_of_drivers(what: DriversOptions) -> Job<'static, Verified> {
    let DriversOptions { servers, steps, .. } = what;
    let bar = progress_bar(&format!("{servers} drivers at random"), Some(steps));
    let work: Work<'_, _> = Box::new(move |bar| {
        let started = Instant::now();
        let report = simulate_drivers(&what, |report| {
            bar.set_position(report.steps.min(steps));
            bar.set_message(format!("steps in {} clusters", grouped(report.runs)));
        });
        match report {
            Ok(report) => {
                let (row, outcome) = judge_drivers(servers, &report, started.elapsed());
                let said = format!("{}, {} steps", row.verdict, grouped(row.steps));
                (said, Ok((Part::Simulation(row), outcome)))
            }
            Err(error) => (error.to_string(), Err(error.into())),
        }
    });
    Job { bar, size: Some(steps), work }
}

fn judge_drivers(servers: u64, report: &DriversReport, time: Duration) -> (SimulationRow, Outcome) {
    let unexercised = report.told.missing().next();
    let (verdict, outcome) = verdict_of_simulation(report.finding.is_some(), unexercised);
    let row = SimulationRow {
        servers,
        drivers: true,
        steps: report.steps,
        runs: report.runs,
        verdict,
        finding: report.finding.as_ref().map(ToString::to_string),
        seconds: time.as_secs_f64(),
    };
    (row, outcome)
}

fn judge_mutation(report: &MutantReport) -> (Part, Outcome) {
    let outcome = Outcome::unless(report.is_good(), Outcome::NotShown);
    (Part::Mutation(MutantRow::of(report)), outcome)
}

/// Prints what was found, and the table.
fn print(report: &Report) -> io::Result<()> {
    let mut shown = table(&[
        "what",
        "cluster states",
        "checked in",
        "server states",
        "transitions",
        "turned away",
        "replayed",
        "crashes",
        "replayed in",
        "verdict",
    ]);
    for row in &report.scopes {
        if let Some(finding) = &row.finding {
            say(format_args!("\nIn scope {}, {finding}", row.check.scope))?;
        }
        shown.add_row(scope_cells(row));
    }
    for row in &report.simulations {
        let what = if row.drivers { "drivers" } else { "servers" };
        let what = format!("{} {what}", row.servers);
        if let Some(finding) = &row.finding {
            say(format_args!("\nA simulation of {what} finds this.\n{finding}"))?;
        }
        let what = format!("{what} at random");
        let (steps, time) = (grouped(row.steps), time(row.seconds));
        shown.add_row([&what, "", "", "", "", "", &steps, "", &time, &row.verdict]);
    }
    if !report.mutants.is_empty() {
        let all = report.mutants.len();
        let wrong: Vec<&MutantRow> = report.mutants.iter().filter(|row| !row.is_good()).collect();
        for row in &wrong {
            say(format_args!("\nMutation {}: {}", row.mutation, row.verdict))?;
        }
        let verdict = format!("{} of {all} found", all - wrong.len());
        let time = time(report.mutants.iter().map(|row| row.seconds).sum());
        shown.add_row(["mutations", "", &time, "", "", "", "", "", "", &verdict]);
    }
    say(shown)?;
    let rows = report.scopes.iter();
    let collision: f64 = rows.map(|row| row.check.collision_probability()).sum();
    say(format_args!(
        "Probability that a fingerprint collision hid a cluster state: {collision:.1e}"
    ))
}

fn scope_cells(row: &ScopeRow) -> Vec<String> {
    vec![
        row.check.scope.clone(),
        grouped(row.check.unique_states),
        time(row.check.seconds),
        grouped(row.server_states),
        grouped(row.local_transitions),
        grouped(row.turned_away),
        grouped(row.replayed),
        grouped(row.crashes),
        time(row.replay_seconds),
        row.conformance.clone(),
    ]
}

fn time(by_the_clock: f64) -> String {
    seconds(Duration::from_secs_f64(by_the_clock))
}
