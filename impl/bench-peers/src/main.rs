//! What a committed proposal costs in Kontiki and in raft-rs: instructions, allocations, time.
//!
//! `README.md` says what is measured and how.

mod callgrind;
mod catch_up;
mod cluster;
mod counting;
mod kontiki_cluster;
mod kontiki_store;
mod measure;
mod raft_rs_cluster;
mod raft_rs_store;
mod table;

use anyhow::{Context, Result, bail};
use callgrind::instructions_for_each;
use catch_up::CatchUp;
use cluster::Work;
use counting::Counting;
use measure::{Peer, Run};
use std::env;
use table::{Drift, Row, WINDOWS};

#[global_allocator]
static HEAP: Counting = Counting;

const USAGE: &str = "\
bench-peers run PEER WINDOW PROPOSALS    allocations and time for each proposal
bench-peers instructions PEER WINDOW     instructions for each proposal (needs valgrind)
bench-peers run-reads PEER WINDOW READS  allocations and time for each linearizable read
bench-peers catch-up MIB                 a follower caught up by a snapshot of so many MiB, beside a
                                         plain copy
bench-peers reads                        the cost of reads, as Markdown (needs valgrind)
bench-peers table                        all peers, all windows, as Markdown (needs valgrind)
bench-peers check [PEER]                 whether README.md still says what is measured of a peer,
                                         kontiki unless another is named (needs valgrind)

PEER is kontiki, raft-rs or raft-rs-tuned.";

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["run", peer, window, proposals] => {
            print_run(Peer::named(peer)?, Work::Proposals, number(window)?, number(proposals)?)?;
        }
        ["run-reads", peer, window, reads] => {
            print_run(Peer::named(peer)?, Work::Reads, number(window)?, number(reads)?)?;
        }
        ["instructions", peer, window] => {
            let (peer, window) = (Peer::named(peer)?, number(window)?);
            let instructions = instructions_for_each(peer, Work::Proposals, window)?;
            println!("instructions per proposal {instructions:9.0}");
        }
        ["catch-up", mib] => print_catch_up(number(mib)?)?,
        ["table"] => print_table(Work::Proposals, &Peer::ALL, &WINDOWS)?,
        ["reads"] => print_table(Work::Reads, &Peer::READERS, &[1, 32, 128])?,
        ["check"] => check(Peer::Kontiki)?,
        ["check", peer] => check(Peer::named(peer)?)?,
        _ => bail!("usage:\n{USAGE}"),
    }
    Ok(())
}

fn print_run(peer: Peer, work: Work, window: u64, count: u64) -> Result<()> {
    let run = Run::of(peer, work, window, count)?;
    println!("allocations for each  {:9.3}", run.allocations_for_each());
    println!("nanoseconds for each  {:9.0}", run.nanoseconds_for_each());
    Ok(())
}

fn print_catch_up(mib: u64) -> Result<()> {
    let size = usize::try_from(mib << 20).context("more than this machine can address")?;
    let CatchUp { copied, caught_up, beyond } = CatchUp::of(size)?;
    println!("a plain copy            {:9.0} ms", copied.as_secs_f64() * 1e3);
    println!("a follower is caught up {:9.0} ms", caught_up.as_secs_f64() * 1e3);
    println!("memory beyond the state {:9.1} MiB", beyond as f64 / f64::from(1 << 20));
    Ok(())
}

fn number(word: &str) -> Result<u64> {
    word.parse().with_context(|| format!("{word} is not a number"))
}

/// Fails if a number of this peer in the document is not what is measured now.
fn check(peer: Peer) -> Result<()> {
    let documented = table::documented(include_str!("../README.md"))?;
    let mut drifts: Vec<Drift> = Vec::new();
    for window in WINDOWS {
        drifts.extend(table::drifts(&documented, &Row::measured(peer, window)?)?);
    }
    if drifts.is_empty() {
        println!("README.md says what is measured of {peer}");
        return Ok(());
    }
    let lines: Vec<String> = drifts.iter().map(ToString::to_string).collect();
    bail!("README.md is out of date:\n{}", lines.join("\n"))
}

fn print_table(work: Work, peers: &[Peer], windows: &[u64]) -> Result<()> {
    println!("| peer | window | instructions | allocations | ns |");
    println!("|---|--:|--:|--:|--:|");
    for peer in peers.iter().copied() {
        for window in windows.iter().copied() {
            let instructions = instructions_for_each(peer, work, window)?;
            let (allocations, nanoseconds) = in_process(peer, work, window)?;
            println!(
                "| {peer} | {window} | {instructions:.0} | {allocations:.2} | {nanoseconds:.0} |"
            );
        }
    }
    Ok(())
}

/// Allocations and time for each proposal or read. Allocations are the same every time; of the times, the
/// least is taken: what is more was something else on the machine.
fn in_process(peer: Peer, work: Work, window: u64) -> Result<(f64, f64)> {
    let run = |_| Run::of(peer, work, window, 100_000);
    let runs: Vec<Run> = (0..5).map(run).collect::<Result<_>>()?;
    let allocations = runs.first().map(Run::allocations_for_each).unwrap_or_default();
    let times = runs.iter().map(Run::nanoseconds_for_each);
    Ok((allocations, times.fold(f64::INFINITY, f64::min)))
}
