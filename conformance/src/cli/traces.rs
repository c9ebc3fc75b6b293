//! `record`, `replay`, `validate` and `tell`.

use anyhow::{Context, bail};
use clap::Args;
use kontiki_conformance::atlas::Atlas;
use kontiki_conformance::implementation::Memory;
use kontiki_conformance::real_runs::{Agreement, RunFault, find_files, follow, is_recording};
use kontiki_conformance::record;
use kontiki_conformance::recorded::{TraceFault, replay_trace, validate_trace};
use kontiki_conformance::stories;
use kontiki_conformance::tell::story;
use kontiki_model::check::{CheckOptions, check};
use kontiki_model::console::{grouped, progress_bar, remark, say};
use kontiki_model::outcome::Outcome;
use kontiki_specs::spelling::suggestion;
use kontiki_specs::trace::Trace;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf, is_separator};
use std::time::Instant;

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
    /// Trace files, or stories by name, as in `figure-8`.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Which traces and recordings to validate.
#[derive(Args)]
pub struct ValidateOptions {
    /// Trace files, stories by name, as in `figure-8`, or recordings: files of one, or directories
    /// with those of all servers of a cluster.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Explores the scope and writes its atlas.
pub fn record(options: &RecordOptions) -> anyhow::Result<Outcome> {
    let scope = kontiki_model::scopes::find(&options.scope)?;
    let bar = progress_bar(&scope.name, scope.unique_states);
    let report = check(&scope, &CheckOptions::default(), |seen| {
        bar.set_position(seen.unique_states);
        bar.set_message(format!("states, depth {}", grouped(seen.depth)));
    });
    bar.finish_and_clear();
    if !report.verdict.is_good() {
        say(format_args!("{}: {}; there is nothing to record", scope.name, report.verdict))?;
        return Ok(report.verdict.outcome());
    }
    let path = &options.output;
    let cannot = || format!("cannot write {}", path.display());
    let file = File::create(path).with_context(cannot)?;
    let atlas = Atlas::of(&report.cluster);
    let steps = record::record(&atlas, BufWriter::new(file)).with_context(cannot)?;
    say(format_args!("{}: {} steps in {}", scope.name, grouped(steps), path.display()))?;
    Ok(Outcome::AllIsWell)
}

/// Replays every trace with as much of the log in memory as [`Memory`] says.
pub fn replay(options: &FileOptions) -> anyhow::Result<Outcome> {
    compare(options, |trace| {
        Memory::ALL.into_iter().try_fold(0, |_, memory| replay_trace(trace, memory))
    })
}

/// Validates every trace, and the recordings as those of one cluster.
pub fn validate(options: &ValidateOptions) -> anyhow::Result<Outcome> {
    let (recordings, files): (Vec<_>, Vec<_>) =
        options.files.iter().cloned().partition(|path| is_recording(path));
    let judged = match recordings.is_empty() {
        true => Outcome::AllIsWell,
        false => validate_recordings(&recordings)?,
    };
    Ok(judged.max(compare(&FileOptions { files }, validate_trace)?))
}

fn validate_recordings(paths: &[PathBuf]) -> anyhow::Result<Outcome> {
    let mut files = Vec::new();
    for path in paths {
        let cannot = || format!("cannot read {}", path.display());
        let found = find_files(path).with_context(cannot)?;
        if found.is_empty() {
            let shown = path.display();
            bail!("{shown} has no recording: a server writes one where NodeConfig::record says");
        }
        files.extend(found);
    }
    let begun = Instant::now();
    match follow(&files) {
        Ok(Agreement { servers, judged }) => {
            for (server, followed) in &servers {
                say(format_args!("{server}: {followed}"))?;
            }
            say(format_args!("{judged}"))?;
            let steps: u64 = servers.values().map(|followed| followed.steps).sum();
            let each_second = steps as f64 / begun.elapsed().as_secs_f64();
            say(format_args!(
                "{} steps agree, {} a second",
                grouped(steps),
                grouped(each_second as u64)
            ))?;
            let failures: u64 = servers.values().map(|followed| followed.store_failures).sum();
            if failures > 0 {
                say(format_args!(
                    "Stores failed {} times: what those servers did is judged up to there.",
                    grouped(failures)
                ))?;
            }
            Ok(Outcome::unless(judged.messages_not_looked_for == 0, Outcome::EndedEarly))
        }
        Err(fault) => match *fault {
            RunFault::Unreadable(_)
            | RunFault::NoServer { .. }
            | RunFault::SameNumber { .. }
            | RunFault::Nothing => Err(anyhow::Error::from(*fault)),
            RunFault::At { .. } | RunFault::Between { .. } => {
                say(format_args!("{fault}"))?;
                Ok(Outcome::Broken)
            }
        },
    }
}

/// Tells every trace, and checks none.
pub fn tell(options: &FileOptions) -> anyhow::Result<Outcome> {
    each(options, |file, trace| match story(trace) {
        Ok(story) => {
            let about = trace.header.about.trim_end_matches('.');
            let steps = trace.steps.len();
            say(format_args!("{about}: {steps} steps, as the trace has them\n\n{story}"))?;
            Ok(true)
        }
        Err(error) => {
            say(format_args!("{}: {error}", file.display()))?;
            Ok(false)
        }
    })
}

fn compare(
    options: &FileOptions,
    look: impl Fn(&Trace) -> Result<u64, TraceFault>,
) -> anyhow::Result<Outcome> {
    each(options, |file, trace| match look(trace) {
        Ok(steps) => {
            say(format_args!("{}: {} steps agree", file.display(), grouped(steps)))?;
            Ok(true)
        }
        Err(fault) => {
            say(format_args!("{}: {fault}", file.display()))?;
            Ok(false)
        }
    })
}

/// Looks at every file, also after one that is wrong or cannot be read.
fn each(
    options: &FileOptions,
    look: impl Fn(&Path, &Trace) -> io::Result<bool>,
) -> anyhow::Result<Outcome> {
    let mut good = true;
    let mut unreadable = None;
    for file in &options.files {
        match load(file) {
            Ok(trace) => good &= look(file, &trace)?,
            Err(error) => {
                // The last one is the command's own error.
                if let Some(earlier) = unreadable.replace(error) {
                    remark(format_args!("error: {earlier}"));
                }
            }
        }
    }
    unreadable.map_or(Ok(Outcome::unless(good, Outcome::Broken)), Err)
}

/// The trace in a file. What is no file and does not look like a path is the name of a story.
fn load(file: &Path) -> anyhow::Result<Trace> {
    let name = file.display().to_string();
    if name.contains(is_separator) || name.ends_with(".jsonl") || file.exists() {
        return Ok(Trace::load(file)?);
    }
    let stories = stories::all()?;
    let known: Vec<&str> = stories.iter().map(|story| story.name.as_str()).collect();
    let meant = suggestion(&name, &known);
    let story = stories.iter().find(|story| story.name == name).with_context(|| {
        let known = known.join(", ");
        format!("unknown story `{name}`{meant}\n  known stories: {known}\n  or the path of a trace file, as in my.trace.jsonl")
    });
    Ok(story?.trace.clone())
}
