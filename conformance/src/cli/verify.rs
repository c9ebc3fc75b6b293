//! `verify`.

use anyhow::Context;
use clap::{Args, ValueEnum};
use kontiki_conformance::simulate::{SimulationOptions, simulate};
use kontiki_conformance::verify::{ScopeReport, ScopeRow, verify};
use kontiki_model::console::{grouped, progress_bar, seconds, table, write_json};
use kontiki_model::mutants::{self, MutantRow};
use kontiki_model::scopes;
use kontiki_specs::mutation_rows;
use kontiki_specs::scope::{Scope, Suite};
use serde::Serialize;
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

/// The sizes of clusters that are simulated, and for how many steps each.
const SIMULATED: [u64; 3] = [3, 5, 7];
const SIMULATED_STEPS: u64 = 1_000_000;

#[derive(Serialize)]
struct SimulationRow {
    servers: u64,
    steps: u64,
    runs: u64,
    verdict: String,
    finding: Option<String>,
    seconds: f64,
}

#[derive(Default, Serialize)]
struct Report {
    scopes: Vec<ScopeRow>,
    simulations: Vec<SimulationRow>,
    mutants: Vec<MutantRow>,
    all_is_well: bool,
}

/// Verifies and prints; whether all is well.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mut report = Report { all_is_well: true, ..Report::default() };
    let mut shown = table(&[
        "what",
        "cluster states",
        "checked in",
        "server states",
        "transitions",
        "replayed",
        "crashes",
        "replayed in",
        "verdict",
    ]);
    let mut collision = 0.0;
    let scopes = options.scopes()?;
    anyhow::ensure!(!scopes.is_empty(), "there are no scopes in the suite");
    for scope in scopes {
        let bar = progress_bar(&scope.name, scope.unique_states);
        let verified = verify(&scope, |seen| {
            bar.set_position(seen.unique_states);
            bar.set_message(seen.depth.to_string());
        })?;
        bar.finish_and_clear();
        eprintln!("{}: {}", scope.name, verified.verdict);
        if let Some(details) = verified.verdict.details() {
            println!("\nIn scope {}, {details}", scope.name);
        }
        report.all_is_well &= verified.verdict.is_good();
        collision += verified.check.collision_probability();
        let row = ScopeRow::of(&verified);
        shown.add_row(cells(&verified, &row));
        report.scopes.push(row);
    }
    if options.scopes.is_empty() {
        for servers in SIMULATED {
            let simulation = run_simulation(servers, &mut report)?;
            let (steps, time) = (grouped(simulation.steps), format!("{:.2} s", simulation.seconds));
            let what = format!("{servers} servers at random");
            shown.add_row([&what, "", "", "", "", &steps, "", &time, &simulation.verdict]);
            report.simulations.push(simulation);
        }
        let (found, time) = run_mutants(&mut report)?;
        let all = report.mutants.len();
        let verdict = format!("{found} of {all} found");
        let row = ["mutations", "", &seconds(time), "", "", "", "", "", &verdict];
        shown.add_row(row);
    }
    println!("{shown}");
    println!("Probability that a fingerprint collision hid a cluster state: {collision:.1e}");
    if let Some(file) = &options.json {
        write_json(file, &report).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(report.all_is_well)
}

/// Simulates clusters that are too large to be exhausted.
fn run_simulation(servers: u64, report: &mut Report) -> anyhow::Result<SimulationRow> {
    let started = Instant::now();
    let what = SimulationOptions {
        seed: 1,
        servers,
        steps: SIMULATED_STEPS,
        ..SimulationOptions::default()
    };
    let simulated = simulate(&what, |_| {})?;
    let unexercised = simulated.exercised.counts().into_iter().find(|(_, count)| *count == 0);
    let verdict = match (&simulated.finding, unexercised) {
        (Some(finding), _) => {
            println!("\nA simulation of {servers} servers finds this.\n{finding}");
            "FOUND".to_string()
        }
        (None, Some((what, _))) => format!("NOT EXERCISED: {what}"),
        (None, None) => "holds".to_string(),
    };
    report.all_is_well &= verdict == "holds";
    Ok(SimulationRow {
        servers,
        steps: simulated.steps,
        runs: simulated.runs,
        verdict,
        finding: simulated.finding.map(|finding| finding.to_string()),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Runs every mutation. How many are found, and how long it took.
fn run_mutants(report: &mut Report) -> anyhow::Result<(usize, Duration)> {
    let started = Instant::now();
    let mut found = 0;
    let rows = mutation_rows()?;
    anyhow::ensure!(!rows.is_empty(), "there are no mutations");
    for row in rows {
        let bar = progress_bar(&row.name, None);
        let mutant = mutants::run(&row, |states, _, depth| {
            bar.set_position(states);
            bar.set_message(depth.to_string());
        })?;
        bar.finish_and_clear();
        if mutant.is_good() {
            found += 1;
        } else {
            eprintln!("{}: {}", row.name, mutant.verdict());
            report.all_is_well = false;
        }
        report.mutants.push(MutantRow::of(&mutant));
    }
    Ok((found, started.elapsed()))
}

fn cells(report: &ScopeReport, row: &ScopeRow) -> Vec<String> {
    vec![
        row.check.scope.clone(),
        grouped(row.check.unique_states),
        seconds(report.check.time),
        grouped(row.server_states),
        grouped(row.local_transitions),
        grouped(row.replayed),
        grouped(row.crashes),
        seconds(report.replay_time),
        row.conformance.clone(),
    ]
}
