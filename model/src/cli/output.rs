//! What several commands print and write.

use anyhow::Context;
use kontiki_model::console::{self, grouped};
use kontiki_model::path::Path;
use kontiki_model::server::Mutation;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// A counterexample as a story; writes it as a trace, too.
pub fn tell(
    path: &Path<'_>,
    mutation: Option<Mutation>,
    about: &str,
    file: &PathBuf,
) -> anyhow::Result<String> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    path.trace(mutation, about)
        .save(file)
        .with_context(|| format!("cannot write the trace {}", file.display()))?;
    let (about, steps) = (about.trim_end_matches('.'), grouped(path.len() as u64));
    let (story, file) = (path.story(), file.display());
    Ok(format!("\n{about}: {steps} steps\n\n{story}\nThe same as a trace: {file}\n"))
}

/// Writes a report as JSON, if it is asked for.
pub fn write_json<T: Serialize>(file: &Option<PathBuf>, report: &T) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    console::write_json(file, report).with_context(|| format!("cannot write {}", file.display()))
}
