//! What goes wrong with disks, whether it did, and what servers promise meanwhile.

use crate::cluster::Cluster;
use crate::disk::{Counts, Loss, Trouble};
use crate::nemesis::RECOVERS;
use anyhow::{Context, bail, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take until a server asks its disk for something.
const COMES_ALONG: Duration = RECOVERS;
/// How long disks lie before power is lost.
const LIES: Duration = Duration::from_secs(1);
/// How often power is lost until something is lost with it.
const POWER_LOSSES: usize = 4;

/// Processes are killed, and what they have not synced is lost or torn: most often while a sync is under way.
/// If all was synced, power is lost once more.
pub fn lose_power(
    cluster: &mut Cluster,
    which: &[u64],
    while_: Duration,
    lies: bool,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    for _ in 0..POWER_LOSSES {
        let trouble = match random.random_range(0..4) {
            _ if lies => Trouble::Lies,
            0 => Trouble::Nothing,
            _ => Trouble::HangingSyncs,
        };
        let lost = lose_power_once(cluster, which, trouble)?;
        thread::sleep(while_);
        for id in which {
            cluster.spawn(*id)?;
        }
        if lost.sectors + lost.names > 0 {
            return Ok(format!("power lost at {which:?}, {trouble:?}: {lost}"));
        }
        cluster.heal()?;
        cluster.leader(RECOVERS).context("nobody leads after a loss of power")?;
        // One that is only starting when its disk stands still says nothing.
        cluster.are_well()?;
    }
    bail!("power was lost {POWER_LOSSES} times, and nothing with it")
}

fn lose_power_once(cluster: &mut Cluster, which: &[u64], trouble: Trouble) -> anyhow::Result<Loss> {
    let mut before = Vec::new();
    for id in which {
        let disk = cluster.disk(*id)?;
        before.push(disk.counts().held);
        disk.set(trouble);
    }
    match trouble {
        Trouble::Lies => thread::sleep(LIES),
        Trouble::HangingSyncs => {
            // One that is no member has nothing to sync.
            for (id, before) in which.iter().zip(before) {
                comes(cluster, *id, Duration::from_secs(1), |now| now.held > before)?;
            }
        }
        _ => {}
    }
    cluster.lose_power(which, trouble == Trouble::Lies)
}

/// A process is killed when a part of a write is done.
pub fn kill_in_write(cluster: &mut Cluster, id: u64, while_: Duration) -> anyhow::Result<String> {
    let disk = cluster.disk(id)?;
    let before = disk.counts().torn;
    disk.set(Trouble::TornWrite);
    let torn = comes(cluster, id, COMES_ALONG, |now| now.torn > before)?;
    ensure!(torn, "server {id} was to be killed in a write, and writes nothing");
    cluster.kill(&[id])?;
    thread::sleep(while_);
    cluster.spawn(id)?;
    Ok(format!("killed {id} in a write"))
}

/// A write or a sync fails. The server stops for good, and is started again.
pub fn fail(cluster: &mut Cluster, id: u64, random: &mut StdRng) -> anyhow::Result<String> {
    let trouble = match random.random_bool(0.5) {
        true => Trouble::FailingSync,
        false => Trouble::FailingWrite,
    };
    let disk = cluster.disk(id)?;
    let before = disk.counts().failed;
    disk.set(trouble);
    let failed = comes(cluster, id, COMES_ALONG, |now| now.failed > before)?;
    ensure!(failed, "the disk of server {id} was to fail, and has nothing to do");
    let why =
        eventually(COMES_ALONG, || cluster.status(id, "failed").filter(|failed| failed != "-"));
    let why = why.with_context(|| format!("the disk of server {id} has failed, and it goes on"))?;
    cluster.kill_as_it_is(id)?;
    cluster.spawn(id)?;
    Ok(format!("{trouble:?}: server {id} has stopped: {why}"))
}

/// There is no room for a while. The server waits for it, and the others go on.
pub fn fill(cluster: &mut Cluster, id: u64, while_: Duration) -> anyhow::Result<String> {
    let before = cluster.disk(id)?.counts().refused;
    cluster.disk(id)?.set(Trouble::Full);
    let refused = comes(cluster, id, COMES_ALONG, |now| now.refused > before)?;
    ensure!(refused, "the disk of server {id} was to be full, and nobody has noticed");
    survives(cluster, id, while_ * 2)?;
    let refused = cluster.disk(id)?.counts().refused - before;
    Ok(format!("server {id} had no room {refused} times"))
}

/// Syncs hang for a while. The others go on, and so does the server afterwards.
pub fn hang(cluster: &mut Cluster, id: u64, while_: Duration) -> anyhow::Result<String> {
    let before = cluster.disk(id)?.counts().held;
    cluster.disk(id)?.set(Trouble::HangingSyncs);
    let held = comes(cluster, id, COMES_ALONG, |now| now.held > before)?;
    ensure!(held, "syncs of server {id} were to hang, and there were none");
    survives(cluster, id, while_ * 2)?;
    let held = cluster.disk(id)?.counts().held - before;
    Ok(format!("{held} syncs of server {id} hung"))
}

/// A server whose disk makes no progress for a while has not failed. Something can be written meanwhile, by
/// another leader if need be (rule E12). When the disk is in order again, the server catches up.
fn survives(cluster: &mut Cluster, id: u64, while_: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    let written = cluster.append("meanwhile", RECOVERS);
    written
        .with_context(|| format!("nothing can be written while the disk of {id} stands still"))?;
    thread::sleep(while_.saturating_sub(begun.elapsed()));
    cluster.disk(id)?.set(Trouble::Nothing);
    let leader = cluster.leader(RECOVERS).context("nobody leads after a disk stood still")?;
    let goal = eventually(RECOVERS, || executed(cluster, leader)).context("no answer")?;
    let arrived = eventually(RECOVERS, || executed(cluster, id).filter(|now| *now >= goal));
    arrived
        .with_context(|| format!("server {id} does not come to {goal} with its disk in order"))?;
    cluster.is_well(id)
}

fn executed(cluster: &Cluster, id: u64) -> Option<u64> {
    cluster.status(id, "executed")?.parse().ok()
}

/// Whether a disk has done something before patience is at an end.
fn comes(
    cluster: &Cluster,
    id: u64,
    patience: Duration,
    what: impl Fn(Counts) -> bool,
) -> anyhow::Result<bool> {
    let disk = cluster.disk(id)?;
    Ok(eventually(patience, || what(disk.counts()).then_some(())).is_some())
}

fn eventually<T>(patience: Duration, what: impl Fn() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let found = what();
        if found.is_some() || begun.elapsed() >= patience {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
