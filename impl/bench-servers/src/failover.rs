//! How long nobody can write after the leader was killed.

use crate::load::leader;
use crate::processes::{Servers, System};
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the servers are left alone between two kills, so that all of them are up to date.
const CALM: Duration = Duration::from_secs(3);

/// Kills the leader so many times, and prints the median and the longest time until another one serves.
pub(crate) async fn measure(system: &System, directory: &Path, times: usize) -> Result<()> {
    let directory = tempfile::tempdir_in(directory)?;
    let mut servers = Servers::start(system, directory.path())?;
    let mut took = Vec::new();
    for _ in 0..times {
        leader(system).await?;
        tokio::time::sleep(CALM).await;
        let (port, _) = leader(system).await?;
        servers.kill(port)?;
        let start = Instant::now();
        leader(system).await?;
        took.push(start.elapsed());
        servers.restart(port)?;
    }
    took.sort();
    if let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) {
        println!(
            "{}: {times} leaders killed, served again after {median:.2?}, at most {most:.2?}",
            system.name()
        );
    }
    Ok(())
}
