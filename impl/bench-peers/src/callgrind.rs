//! Instructions, counted by valgrind's callgrind.

use crate::cluster::Work;
use crate::measure::Peer;
use anyhow::{Context, Result, bail};
use std::process::{Command, id};
use std::{env, fs};

/// Two runs are compared, so that start, election and warm-up, which both have, are not counted.
const FEW: u64 = 1 << 12;
const MANY: u64 = FEW + (1 << 14);

/// How many instructions a proposal or a read takes, on all three servers together.
pub fn instructions_for_each(peer: Peer, work: Work, window: u64) -> Result<f64> {
    let of = |count| instructions(peer, work, window, count);
    let (few, many) = (of(FEW)?, of(MANY)?);
    Ok(many.saturating_sub(few) as f64 / (MANY - FEW) as f64)
}

fn instructions(peer: Peer, work: Work, window: u64, count: u64) -> Result<u64> {
    let run = match work {
        Work::Proposals => "run",
        Work::Reads => "run-reads",
    };
    let profile = env::temp_dir().join(format!("bench-peers.{}.callgrind", id()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe()?)
        .arg(run)
        .args([peer.to_string(), window.to_string(), count.to_string()])
        .output()
        .context("valgrind cannot be run: is it installed?")?;
    if !output.status.success() {
        bail!("valgrind failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = fs::read_to_string(&profile)?;
    fs::remove_file(&profile)?;
    let total = lines.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.context("callgrind's profile has no totals")?.trim().parse()?)
}
