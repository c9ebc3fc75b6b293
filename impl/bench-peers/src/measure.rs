//! What is measured inside of the process: allocations and time.

use crate::cluster::{Cluster, Work, carry_out};
use crate::counting::heap_requests;
use crate::kontiki_cluster::KontikiCluster;
use crate::raft_rs_cluster::{Proposals, RaftRsCluster};
use crate::raft_rs_store::ListStore;
use anyhow::{Result, bail};
use raft::storage::MemStorage;
use std::fmt;
use std::time::{Duration, Instant};

/// An implementation and how it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Kontiki.
    Kontiki,
    /// Kontiki, whose leader has a lease.
    KontikiLeases,
    /// raft-rs as its documentation and its examples use it.
    RaftRs,
    /// raft-rs with a store and a way to propose that copy nothing.
    RaftRsTuned,
}

impl Peer {
    /// Those whose proposals are measured.
    pub const ALL: [Peer; 3] = [Peer::Kontiki, Peer::RaftRs, Peer::RaftRsTuned];
    /// Those whose reads are measured.
    pub const READERS: [Peer; 3] = [Peer::Kontiki, Peer::KontikiLeases, Peer::RaftRs];

    /// The peer of this name.
    pub fn named(name: &str) -> Result<Peer> {
        let all = Peer::ALL.into_iter().chain(Peer::READERS);
        match all.into_iter().find(|peer| peer.to_string() == name) {
            Some(peer) => Ok(peer),
            None => bail!(
                "no peer {name}: there are kontiki, kontiki-leases, raft-rs and raft-rs-tuned"
            ),
        }
    }

    fn cluster(self) -> Result<Box<dyn Cluster>> {
        Ok(match self {
            Peer::Kontiki => Box::new(KontikiCluster::new(false)?),
            Peer::KontikiLeases => Box::new(KontikiCluster::new(true)?),
            Peer::RaftRs => Box::new(RaftRsCluster::<MemStorage>::new(Proposals::OneByOne)?),
            Peer::RaftRsTuned => Box::new(RaftRsCluster::<ListStore>::new(Proposals::Together)?),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Kontiki => "kontiki",
            Peer::KontikiLeases => "kontiki-leases",
            Peer::RaftRs => "raft-rs",
            Peer::RaftRsTuned => "raft-rs-tuned",
        })
    }
}

/// Proposals before anything is measured. Enough for the memory of a Kontiki server, 16 MiB of
/// entries, and for the stores to be full: from then on, what comes in has something go out.
const WARM_UP: u64 = 1 << 16;

/// What one run of a peer took.
pub struct Run {
    count: u64,
    allocations: u64,
    time: Duration,
}

impl Run {
    /// Does this many of the work after a warm-up with proposals. More than `window` are never
    /// outstanding.
    pub fn of(peer: Peer, work: Work, window: u64, count: u64) -> Result<Run> {
        if window == 0 || count == 0 {
            bail!("window and count are at least 1");
        }
        let mut cluster = peer.cluster()?;
        cluster.elect()?;
        carry_out(&mut *cluster, Work::Proposals, window, WARM_UP)?;
        let (before, start) = (heap_requests(), Instant::now());
        carry_out(&mut *cluster, work, window, count)?;
        let (time, allocations) = (start.elapsed(), heap_requests() - before);
        // The leader's first entry, and then the commands: nothing was lost and nothing repeated.
        let end = 1 + WARM_UP + if work == Work::Proposals { count } else { 0 };
        if cluster.last_indexes().iter().any(|last| *last != end) {
            bail!("logs should end at {end}: {:?}", cluster.last_indexes());
        }
        Ok(Run { count, allocations, time })
    }

    /// Allocations and reallocations, on all three servers together.
    pub fn allocations_for_each(&self) -> f64 {
        self.allocations as f64 / self.count as f64
    }

    /// Wall time.
    pub fn nanoseconds_for_each(&self) -> f64 {
        self.time.as_nanos() as f64 / self.count as f64
    }
}
