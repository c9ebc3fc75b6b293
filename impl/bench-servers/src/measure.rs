//! One measurement, and what is shown of several.

use crate::load::{Clients, Operation};
use crate::processes::{Servers, System};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// What clients saw and what it cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Operations in a second.
    pub(crate) rate: f64,
    /// Of the answers, half came within this, in milliseconds.
    pub(crate) p50: f64,
    /// And 99 of a hundred within this.
    pub(crate) p99: f64,
    /// The servers' processor time for an operation, in microseconds.
    pub(crate) processor: f64,
    /// What was written to the disk for an operation, in bytes, all servers together.
    pub(crate) written: f64,
}

impl Figures {
    pub(crate) async fn of(
        system: &System,
        servers: &mut Servers,
        port: u16,
        (operation, clients): (Operation, usize),
        time: Duration,
    ) -> Result<Figures> {
        let mut clients = Clients::connect(system, port, clients).await?;
        // The first tenth warms up and is not counted.
        clients.run(operation, time / 10).await?;
        let (before, start) = (servers.usage()?, Instant::now());
        let mut took = clients.run(operation, time).await?;
        let (after, elapsed) = (servers.usage()?, start.elapsed());
        took.sort_unstable();
        let count = took.len() as f64;
        let quantile = |of: usize| took.get(took.len() * of / 100).copied();
        let milliseconds =
            |of| anyhow::Ok(f64::from(quantile(of).context("nothing was answered")?) / 1e3);
        Ok(Figures {
            rate: count / elapsed.as_secs_f64(),
            p50: milliseconds(50)?,
            p99: milliseconds(99)?,
            processor: (after.processor - before.processor) * 1e6 / count,
            written: (after.written - before.written) as f64 / count,
        })
    }

    /// The median of each figure.
    pub(crate) fn median(of: &[Figures]) -> Option<Figures> {
        let median = |figure: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = of.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied()
        };
        Some(Figures {
            rate: median(|figures| figures.rate)?,
            p50: median(|figures| figures.p50)?,
            p99: median(|figures| figures.p99)?,
            processor: median(|figures| figures.processor)?,
            written: median(|figures| figures.written)?,
        })
    }
}
