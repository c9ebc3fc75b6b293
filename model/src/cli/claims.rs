//! `claims`.

use super::output::{tell, write_json};
use anyhow::bail;
use clap::Args;
use kontiki_model::claims::{ClaimReport, ClaimRow, RunReport, decide};
use kontiki_model::console::{grouped, progress_bar, seconds, table};
use kontiki_model::path::Path;
use kontiki_specs::{Claim, claims};
use std::path::PathBuf;

/// Which claims to decide.
#[derive(Args)]
pub struct Options {
    /// Claims by name or number; what is really true and the counterexamples are told. Without any,
    /// all are decided.
    names: Vec<String>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder for the traces of counterexamples.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
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
            bail!("no claim is called `{name}`; there are {}", known.join(", "));
        }
        Ok(all.into_iter().filter(|one| self.names.iter().any(|name| is(one, name))).collect())
    }
}

/// Decides and prints; whether every claim came out as its file says.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let heads = ["", "claim", "verdict", "scope", "mutation", "finds", "steps", "states", "time"];
    let mut shown = table(&heads);
    let mut rows = Vec::new();
    let mut all_decided = true;
    for claim in options.claims()? {
        let bar = progress_bar(&claim.name, None);
        let report = decide(&claim, |states, _, depth| {
            bar.set_position(states);
            bar.set_message(depth.to_string());
        })?;
        bar.finish_and_clear();
        if !options.names.is_empty() {
            explain(options, &report)?;
        }
        all_decided &= report.is_decided();
        report.runs.iter().enumerate().for_each(|(place, run)| {
            shown.add_row(cells(&report, place == 0, run));
        });
        rows.push(ClaimRow::of(&report));
    }
    println!("{shown}");
    write_json(&options.json, &rows)?;
    Ok(all_decided)
}

fn explain(options: &Options, report: &ClaimReport) -> anyhow::Result<()> {
    let claim = &report.claim;
    println!("\n{}. \"{}\": {}\n\n{}", claim.number, claim.claim, report.verdict(), claim.truth);
    for (place, run) in (1..).zip(&report.runs) {
        let breaking = run.mutation.map_or(String::new(), |rule| format!(" with {rule}"));
        println!("Run {place}, scope {}{breaking}: {}", run.run.scope, run.run.shows);
        let path = run.found.as_ref().and_then(|found| Path::follow(&run.cluster, found));
        if let Some(path) = path {
            let file = options.traces.join(format!("{}-{place}.trace.jsonl", claim.name));
            tell(&path, run.mutation, &run.run.shows, &file)?;
        } else {
            println!("All {} states were seen.\n", grouped(run.states_seen));
        }
    }
    Ok(())
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
