//! `document`.

use anyhow::Context;
use clap::Args;
use kontiki_conformance::verified::document;
use kontiki_model::console::say;
use kontiki_model::outcome::Outcome;
use std::path::PathBuf;

/// Where to write.
#[derive(Args)]
pub struct Options {
    /// The file to write.
    #[arg(short, long, value_name = "FILE", default_value = "specs/VERIFIED.md")]
    output: PathBuf,
}

/// Writes what is verified.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let text = document().map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = &options.output;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(format_args!("{} written", path.display()))?;
    Ok(Outcome::AllIsWell)
}
