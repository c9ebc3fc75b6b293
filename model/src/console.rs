//! What commands print and write: tables, numbers, progress, JSON.

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;
use std::fmt::{Display, Write};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// Prints a line of what a command was asked for. A reader that has gone, as that of `tell figure-8 |
/// head`, wants no more: the command goes on to its end, and its exit status says how it went.
///
/// # Errors
/// If the line cannot be written for any other reason.
pub fn say(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints a line for whoever watches the command, on the standard error. If that is closed, nobody
/// does.
pub fn remark(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

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
    let hundredths = time.as_millis() / 10;
    let whole = grouped(u64::try_from(hundredths / 100).unwrap_or(u64::MAX));
    format!("{whole}.{:02} s", hundredths % 100)
}

/// A progress bar that counts what its message names; where the number is known before, with the
/// time left.
#[must_use]
pub fn progress_bar(name: &str, expected: Option<u64>) -> ProgressBar {
    let (bar, template) = match expected {
        Some(expected) => (
            ProgressBar::new(expected),
            "{prefix:24} [{bar:30}] {count} of {all} {msg}, {rate} a second, {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{prefix:24} {spinner} {count} {msg}, {rate} a second, {elapsed}",
        ),
    };
    // The templates are constants; if one were wrong, a plain bar would do.
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style
        .with_key("count", |bar: &ProgressState, to: &mut dyn Write| show(to, bar.pos()))
        .with_key("all", |bar: &ProgressState, to: &mut dyn Write| {
            show(to, bar.len().unwrap_or_default());
        })
        .with_key("rate", |bar: &ProgressState, to: &mut dyn Write| show(to, bar.per_sec() as u64));
    // Setters would draw the bar; one that waits for its job is not to be seen.
    bar.with_style(style).with_prefix(name.to_string()).with_message("states")
}

/// What cannot be shown in a progress bar is left out.
fn show(to: &mut dyn Write, number: u64) {
    let _ = to.write_str(&grouped(number));
}

/// Writes a report as JSON.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json<T: Serialize>(file: &Path, report: &T) -> io::Result<()> {
    fs::write(file, serde_json::to_string_pretty(report)? + "\n")
}
