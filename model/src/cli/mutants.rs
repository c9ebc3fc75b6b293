//! `mutants`.

use super::output::{tell, write_json};
use super::{default_traces, find_mutation};
use clap::Args;
use kontiki_model::console::{grouped, say, seconds, table};
use kontiki_model::jobs::{self, Done, Job, Limits};
use kontiki_model::mutants::{self, MutantReport, MutantRow};
use kontiki_model::outcome::Outcome;
use kontiki_model::path::Path;
use kontiki_specs::{MutationRow, mutation_rows};
use std::path::PathBuf;
use std::time::Duration;

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
    #[command(flatten)]
    limits: Limits,
}

impl Options {
    /// Every mutation.
    pub fn all(limits: Limits) -> Self {
        let traces = default_traces();
        Options { names: Vec::new(), stories: false, json: None, traces, limits }
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

/// What came of a mutation.
pub struct Tried {
    row: MutantRow,
    /// Its counterexample, if it is to be told.
    story: Option<String>,
}

/// Runs and prints.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    jobs::run(options.jobs()?, &options.limits).report(|done| report(done, &options.json))
}

/// Prints what came of the mutations.
pub fn report(
    done: Vec<Done<anyhow::Result<Tried>>>,
    json: &Option<PathBuf>,
) -> anyhow::Result<Outcome> {
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
    for Done { result, .. } in done {
        let Tried { row, story } = result?;
        story.iter().try_for_each(say)?;
        shown.add_row(cells(&row));
        rows.push(row);
    }
    say(shown)?;
    let (found, all) = (rows.iter().filter(|row| row.is_good()).count(), rows.len());
    say(format_args!("{found} of {all} mutations found"))?;
    write_json(json, &rows)?;
    Ok(Outcome::unless(found == all, Outcome::NotShown))
}

impl Options {
    /// A job for each mutation.
    pub fn jobs(&self) -> anyhow::Result<Vec<Job<'_, anyhow::Result<Tried>>>> {
        let rows = self.rows()?.into_iter();
        rows.map(|row| Ok(mutants::job(row)?.map(|report| self.tried(&report?)))).collect()
    }

    fn tried(&self, report: &MutantReport) -> anyhow::Result<Tried> {
        let is_told = self.stories || !self.names.is_empty();
        let actions = report.counterexample.as_ref().filter(|_| is_told);
        let path = actions.and_then(|actions| Path::follow(&report.cluster, actions));
        let story = path.map(|path| self.story(report, &path)).transpose()?;
        Ok(Tried { row: MutantRow::of(report), story })
    }

    fn story(&self, report: &MutantReport, path: &Path<'_>) -> anyhow::Result<String> {
        let MutationRow { name, rule, does, seen_in, .. } = &report.row;
        let file = self.traces.join(format!("{name}.trace.jsonl"));
        let about = format!("{name} (rule {rule}): {does}");
        let story = tell(path, Some(report.mutation), &about, &file)?;
        let seen_in = seen_in.as_ref().map(|system| format!("Seen in: {system}\n"));
        Ok(story + &seen_in.unwrap_or_default())
    }
}

fn cells(row: &MutantRow) -> Vec<String> {
    vec![
        row.mutation.clone(),
        row.rule.clone(),
        row.property.to_string(),
        row.scope.clone(),
        row.steps.map_or("-".to_string(), |steps| steps.to_string()),
        grouped(row.states_seen),
        seconds(Duration::from_secs_f64(row.seconds)),
        row.verdict.to_string(),
    ]
}
