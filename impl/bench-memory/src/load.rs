//! Clients that write one command after the other.

use crate::{COMMAND_BYTES, MEASURED};
use anyhow::{Result, ensure};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::time::sleep;

/// Writes a second.
#[derive(Clone, Copy, Debug)]
pub struct Rate(pub f64);

/// A cluster with a leader.
pub trait Cluster: Send + Sync + 'static {
    /// Has a command committed, and executed by the leader. Whether it was.
    fn write(&self, command: Bytes) -> impl Future<Output = bool> + Send;

    /// How many commands the state machines of all servers have executed.
    fn executed(&self) -> impl Iterator<Item = u64> + Send;
}

/// So many clients write for a while.
pub async fn run(cluster: impl Cluster, clients: usize) -> Result<Rate> {
    let cluster = Arc::new(cluster);
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let command = Bytes::from(vec![7; COMMAND_BYTES]);
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (cluster, command) = (Arc::clone(&cluster), command.clone());
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if !cluster.write(command.clone()).await {
                        return false;
                    }
                    written.fetch_add(1, Ordering::Relaxed);
                }
                true
            })
        })
        .collect();
    sleep(MEASURED).await;
    let (begun, before) = (Instant::now(), written.load(Ordering::Relaxed));
    sleep(MEASURED).await;
    let rate = (written.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        ensure!(task.await?, "a write has failed");
    }
    // Nothing that was counted is missing, and followers follow.
    let all = written.load(Ordering::Relaxed);
    for _ in 0..100 {
        if cluster.executed().all(|executed| executed >= all) {
            return Ok(Rate(rate));
        }
        sleep(MEASURED / 20).await;
    }
    anyhow::bail!(
        "of {all} commands the servers have executed {:?}",
        cluster.executed().collect::<Vec<_>>()
    )
}
