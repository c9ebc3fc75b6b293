//! `record`, `replay` and `validate`.

use anyhow::Context;
use clap::Args;
use kontiki_conformance::atlas::Atlas;
use kontiki_conformance::implementation::Memory;
use kontiki_conformance::record;
use kontiki_conformance::recorded::{TraceFault, replay_trace, validate_trace};
use kontiki_conformance::tell::story;
use kontiki_model::check::check;
use kontiki_model::cluster::Reductions;
use kontiki_model::console::{grouped, progress_bar};
use kontiki_specs::trace::Trace;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// What to record.
#[derive(Args)]
pub struct RecordOptions {
    /// A scope: its name, or the path of a scope file.
    scope: String,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Which traces to look at.
#[derive(Args)]
pub struct FileOptions {
    /// Trace files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Explores the scope and writes its atlas.
pub fn record(options: &RecordOptions) -> anyhow::Result<bool> {
    let scope = kontiki_model::scopes::find(&options.scope)?;
    let bar = progress_bar(&scope.name, scope.unique_states);
    let report = check(&scope, None, Reductions::ALL, false, |seen| {
        bar.set_position(seen.unique_states);
        bar.set_message(seen.depth.to_string());
    });
    bar.finish_and_clear();
    if !report.verdict.is_good() {
        println!("{}: {}; there is nothing to record", scope.name, report.verdict);
        return Ok(false);
    }
    let path = &options.output;
    let cannot = || format!("cannot write {}", path.display());
    let file = File::create(path).with_context(cannot)?;
    let atlas = Atlas::of(&report.cluster);
    let steps = record::record(&atlas, BufWriter::new(file)).with_context(cannot)?;
    println!("{}: {} steps in {}", scope.name, grouped(steps), path.display());
    Ok(true)
}

/// Replays every trace with as much of the log in memory as [`Memory`] says.
pub fn replay(options: &FileOptions) -> anyhow::Result<bool> {
    compare(options, |trace| {
        Memory::ALL.into_iter().try_fold(0, |_, memory| replay_trace(trace, memory))
    })
}

/// Validates every trace.
pub fn validate(options: &FileOptions) -> anyhow::Result<bool> {
    compare(options, validate_trace)
}

/// Tells every trace.
pub fn tell(options: &FileOptions) -> anyhow::Result<bool> {
    each(options, |file, trace| match story(trace) {
        Ok(story) => {
            let about = trace.header.about.trim_end_matches('.');
            println!("{about}: {} steps\n\n{story}", trace.steps.len());
            true
        }
        Err(error) => {
            println!("{}: {error}", file.display());
            false
        }
    })
}

fn compare(
    options: &FileOptions,
    look: impl Fn(&Trace) -> Result<u64, TraceFault>,
) -> anyhow::Result<bool> {
    each(options, |file, trace| match look(trace) {
        Ok(steps) => {
            println!("{}: {} steps agree", file.display(), grouped(steps));
            true
        }
        Err(fault) => {
            println!("{}: {fault}", file.display());
            false
        }
    })
}

/// Looks at every file, also after one that is wrong or cannot be read; whether all are good.
fn each(options: &FileOptions, look: impl Fn(&Path, &Trace) -> bool) -> anyhow::Result<bool> {
    let mut good = true;
    let mut unreadable = None;
    for file in &options.files {
        match Trace::load(file) {
            Ok(trace) => good &= look(file, &trace),
            Err(error) => {
                // The last one is the command's own error.
                if let Some(earlier) = unreadable.replace(error) {
                    eprintln!("error: {earlier}");
                }
            }
        }
    }
    unreadable.map_or(Ok(good), |error| Err(error.into()))
}
