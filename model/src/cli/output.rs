//! What the commands print and write: tables, progress, counterexamples, JSON.

use anyhow::Context;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use kontiki_model::path::Path;
use kontiki_model::server::Mutation;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A table with these heads, in Markdown, to be pasted where it is needed.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(heads.iter().copied());
    table
}

/// A number with its thousands apart: `1 234 567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(" ")
}

/// A duration in seconds, to the hundredth.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// A progress bar; where the number of states is known before, with the time left.
pub fn progress_bar(name: &str, expected: Option<u64>) -> anyhow::Result<ProgressBar> {
    let (bar, template) = match expected {
        Some(expected) => (
            ProgressBar::new(expected),
            "{prefix:24} [{bar:30}] {human_pos}/{human_len} states, {per_sec}, depth {msg}, {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{prefix:24} {spinner} {human_pos} states, {per_sec}, depth {msg}, {elapsed}",
        ),
    };
    bar.set_style(ProgressStyle::with_template(template)?);
    bar.set_prefix(name.to_string());
    Ok(bar)
}

/// Prints a counterexample as a story and writes it as a trace.
pub fn tell(
    path: &Path<'_>,
    mutation: Option<Mutation>,
    about: &str,
    file: &PathBuf,
) -> anyhow::Result<()> {
    println!("\n{}: {} steps\n\n{}", about.trim_end_matches('.'), path.len(), path.story());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    path.trace(mutation, about)
        .save(file)
        .with_context(|| format!("cannot write the trace {}", file.display()))?;
    println!("The same as a trace: {}\n", file.display());
    Ok(())
}

/// Writes a report as JSON.
pub fn write_json<T: Serialize>(file: &Option<PathBuf>, report: &T) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)? + "\n";
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
