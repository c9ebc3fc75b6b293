//! `mutants`.

use super::output::{tell, write_json};
use super::{default_traces, find_mutation};
use clap::Args;
use kontiki_model::console::{grouped, progress_bar, seconds, table};
use kontiki_model::mutants::{self, MutantReport, MutantRow};
use kontiki_model::path::Path;
use kontiki_specs::{MutationRow, mutation_rows};
use std::path::PathBuf;

/// Which mutations to run.
#[derive(Args)]
pub struct Options {
    /// Mutations by name, as in `list`; their counterexamples are told. Without any, all are run.
    names: Vec<String>,
    /// Tell every counterexample.
    #[arg(long)]
    stories: bool,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder for the traces of counterexamples.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    traces: PathBuf,
}

impl Options {
    /// Every mutation.
    pub fn all() -> Self {
        Options { names: Vec::new(), stories: false, json: None, traces: default_traces() }
    }

    fn rows(&self) -> anyhow::Result<Vec<MutationRow>> {
        for name in &self.names {
            find_mutation(name)?;
        }
        let mut rows = mutation_rows()?;
        if !self.names.is_empty() {
            rows.retain(|row| self.names.contains(&row.name));
        }
        Ok(rows)
    }
}

/// Runs and prints; whether every mutation was found.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mut shown = table(&[
        "mutation",
        "rule",
        "breaks",
        "in scope",
        "steps",
        "states seen",
        "time",
        "verdict",
    ]);
    let mut rows = Vec::new();
    let mut all_found = true;
    for row in options.rows()? {
        let bar = progress_bar(&row.name, None);
        let report = mutants::run(&row, |states, _, depth| {
            bar.set_position(states);
            bar.set_message(depth.to_string());
        })?;
        bar.finish_and_clear();
        match &report.counterexample {
            Some(actions) if options.stories || !options.names.is_empty() => {
                if let Some(path) = Path::follow(&report.cluster, actions) {
                    let about = format!("{} ({}): {}", row.name, row.rule, row.does);
                    let file = options.traces.join(format!("{}.trace.jsonl", row.name));
                    tell(&path, Some(report.mutation), &about, &file)?;
                    if let Some(seen_in) = &row.seen_in {
                        println!("Seen in: {seen_in}\n");
                    }
                }
            }
            _ => {}
        }
        all_found &= report.is_good();
        shown.add_row(cells(&report));
        rows.push(MutantRow::of(&report));
    }
    println!("{shown}");
    let found = rows.iter().filter(|row| row.steps.is_some()).count();
    println!("{found} of {} mutations found", rows.len());
    write_json(&options.json, &rows)?;
    Ok(all_found)
}

fn cells(report: &MutantReport) -> Vec<String> {
    vec![
        report.row.name.clone(),
        report.row.rule.clone(),
        report.row.property.to_string(),
        report.row.scope.clone(),
        report.counterexample.as_ref().map_or("-".to_string(), |path| path.len().to_string()),
        grouped(report.states_seen),
        seconds(report.time),
        report.verdict(),
    ]
}
