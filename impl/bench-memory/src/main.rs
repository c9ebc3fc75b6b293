//! Writes a second of three servers in one process, without disk and network: Kontiki's drivers and openraft.
//!
//! `README.md` says what is measured and how.

mod kontiki_cluster;
mod load;
mod openraft_cluster;
mod openraft_store;

use anyhow::Result;
use kontiki_cluster::KontikiCluster;
use load::Rate;
use openraft_cluster::OpenraftCluster;
use std::time::Duration;
use tokio::runtime::Builder;

/// How many clients write at the same time.
const CLIENTS: [usize; 4] = [1, 64, 256, 1024];
/// For so long they are counted, after as long a beginning.
const MEASURED: Duration = Duration::from_secs(2);
/// So many times, each in turn.
const ROUNDS: usize = 3;
/// What is written.
const COMMAND_BYTES: usize = 256;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [peer, clients] = &words[..] {
        let clients = clients.parse()?;
        let rate = match peer.as_str() {
            "kontiki" => alone(async { load::run(KontikiCluster::start().await?, clients).await })?,
            _ => alone(async { load::run(OpenraftCluster::start().await?, clients).await })?,
        };
        println!("{:.0} writes a second", rate.0);
        return Ok(());
    }
    println!("| clients | kontiki | openraft | times |");
    println!("|--:|--:|--:|--:|");
    for clients in CLIENTS {
        let (mut kontiki, mut openraft) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            kontiki
                .push(alone(async { load::run(KontikiCluster::start().await?, clients).await })?);
            openraft
                .push(alone(async { load::run(OpenraftCluster::start().await?, clients).await })?);
        }
        let (kontiki, openraft) = (median(kontiki), median(openraft));
        println!("| {clients} | {kontiki:.0} | {openraft:.0} | {:.1} |", kontiki / openraft);
    }
    Ok(())
}

/// Each run has a runtime of its own, so that nothing of the one before goes on.
fn alone(run: impl Future<Output = Result<Rate>>) -> Result<Rate> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let rate = runtime.block_on(run);
    runtime.shutdown_background();
    rate
}

fn median(mut rates: Vec<Rate>) -> f64 {
    rates.sort_by(|one, other| one.0.total_cmp(&other.0));
    rates.get(rates.len() / 2).map_or(0.0, |rate| rate.0)
}
