//! What goes wrong, and whether it did.

use crate::cluster::Cluster;
use crate::disk_faults;
use crate::proxy::Mode;
use crate::server::KEPT_ENTRIES;
use anyhow::{Context, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// Kinds of faults, and of what operators do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// The leader's process is killed.
    KillLeader,
    /// Another process is killed.
    KillOne,
    /// So many are killed that no majority is left.
    KillMajority,
    /// All are killed.
    KillAll,
    /// The leader's process stands still for a while.
    StopLeader,
    /// The leader and perhaps others are cut off from the rest.
    Partition,
    /// Nothing that the leader sends arrives.
    LeaderMute,
    /// Nothing that is sent to the leader arrives.
    LeaderDeaf,
    /// Two halves that reach each other only through one server.
    Bridge,
    /// Everything takes longer.
    SlowLinks,
    /// Connections break, with what is on them.
    LossyLinks,
    /// A follower is cut off until it has to be sent a snapshot.
    LeftBehind,
    /// Another server is to lead.
    Transfer,
    /// A server is taken in, or taken out again.
    Membership,
    /// A process is killed, and what it had not synced is lost.
    PowerLossOne,
    /// The same of so many that no majority is left.
    PowerLossMajority,
    /// The same of all.
    PowerLossAll,
    /// A process is killed in the middle of a write.
    KillInWrite,
    /// A write or a sync fails.
    DiskFails,
    /// There is no room for a while.
    DiskFull,
    /// Syncs take seconds.
    DiskHangs,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 21] = [
        Fault::KillLeader,
        Fault::Partition,
        Fault::LeftBehind,
        Fault::Membership,
        Fault::StopLeader,
        Fault::KillAll,
        Fault::LeaderMute,
        Fault::Transfer,
        Fault::KillMajority,
        Fault::SlowLinks,
        Fault::LeaderDeaf,
        Fault::Bridge,
        Fault::LossyLinks,
        Fault::KillOne,
        Fault::PowerLossOne,
        Fault::PowerLossMajority,
        Fault::PowerLossAll,
        Fault::KillInWrite,
        Fault::DiskFails,
        Fault::DiskFull,
        Fault::DiskHangs,
    ];

    /// Whether it takes a disk that can fail.
    pub fn is_of_disks(self) -> bool {
        matches!(
            self,
            Fault::PowerLossOne
                | Fault::PowerLossMajority
                | Fault::PowerLossAll
                | Fault::KillInWrite
                | Fault::DiskFails
                | Fault::DiskFull
                | Fault::DiskHangs
        )
    }
}

/// How long a leader may take to be there when nothing is wrong any more.
pub const RECOVERS: Duration = Duration::from_secs(60);

/// Makes one thing go wrong for a while. An error if it did not, or if the cluster did not come back.
/// Disks that lie say that they sync, and do not, before power is lost.
pub fn inflict(
    fault: Fault,
    cluster: &mut Cluster,
    lies: bool,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    let leader = cluster.leader(RECOVERS).context("nobody leads, though nothing is wrong")?;
    let voters = voters(cluster, leader)?;
    let while_ = Duration::from_millis(random.random_range(1200..2500));
    let other = *{ voters.iter().find(|id| **id != leader) }.context("the leader is alone")?;
    let any = *voters.choose(random).context("there is no voter")?;
    let told = match fault {
        Fault::KillLeader => kill(cluster, &[leader], while_)?,
        Fault::KillOne => kill(cluster, &[other], while_)?,
        Fault::KillMajority => kill(cluster, &some(&voters, random, voters.len() / 2 + 1), while_)?,
        Fault::KillAll => {
            let all = cluster.ids();
            kill(cluster, &all, Duration::from_millis(100))?
        }
        Fault::StopLeader => {
            cluster.stop(leader)?;
            thread::sleep(while_);
            cluster.go_on(leader)?;
            format!("server {leader} stood still")
        }
        Fault::Partition => {
            let mut away = some(&voters, random, voters.len() / 2 - usize::from(voters.len() > 3));
            away.retain(|id| *id != leader);
            away.truncate((voters.len() - 1) / 2 - 1);
            away.push(leader);
            let apart = move |from: u64, to: u64| away.contains(&from) != away.contains(&to);
            links(cluster, apart, Mode::Hold, while_)?
        }
        Fault::LeaderMute => links(cluster, |from, _| from == leader, Mode::Hold, while_)?,
        Fault::LeaderDeaf => links(cluster, |_, to| to == leader, Mode::Hold, while_)?,
        Fault::Bridge => {
            let bridge = other;
            let apart = move |from: u64, to: u64| {
                from != bridge && to != bridge && (from == leader || to == leader)
            };
            links(cluster, apart, Mode::Hold, while_)?
        }
        Fault::SlowLinks => {
            let delay = Mode::Delay(random.random_range(20..120));
            links(cluster, |_, _| true, delay, while_)?
        }
        Fault::LossyLinks => {
            let mut told = String::new();
            for _ in 0..5 {
                told = links(cluster, |_, _| true, Mode::Cut, Duration::from_millis(150))?;
                cluster.set_links(|_, _| Some(Mode::Pass));
                thread::sleep(Duration::from_millis(250));
            }
            told
        }
        Fault::LeftBehind => {
            let apart = move |from: u64, to: u64| from == other || to == other;
            let told = links(cluster, apart, Mode::Cut, while_)?;
            wait_until_left_behind(cluster, leader, other)?;
            told
        }
        Fault::Transfer => {
            let answer = cluster.ask_leader(&format!("transfer {other}"), RECOVERS);
            answer.with_context(|| format!("nobody hands over to server {other}"))?;
            format!("server {other} was to lead")
        }
        Fault::Membership => membership(cluster, &voters)?,
        Fault::PowerLossOne => disk_faults::lose_power(cluster, &[any], while_, lies, random)?,
        Fault::PowerLossMajority => {
            let most = some(&voters, random, voters.len() / 2 + 1);
            disk_faults::lose_power(cluster, &most, while_, lies, random)?
        }
        Fault::PowerLossAll => {
            let all = cluster.ids();
            disk_faults::lose_power(cluster, &all, Duration::from_millis(100), lies, random)?
        }
        Fault::KillInWrite => disk_faults::kill_in_write(cluster, any, while_)?,
        Fault::DiskFails => disk_faults::fail(cluster, any, random)?,
        Fault::DiskFull => disk_faults::fill(cluster, any, while_)?,
        Fault::DiskHangs => disk_faults::hang(cluster, any, while_)?,
    };
    cluster.heal()?;
    cluster.leader(RECOVERS).with_context(|| format!("nobody leads after this: {told}"))?;
    Ok(told)
}

/// Who has a vote, as a server says.
fn voters(cluster: &Cluster, at: u64) -> anyhow::Result<Vec<u64>> {
    for _ in 0..50 {
        if let Some(voters) = cluster.status(at, "voters") {
            let voters: BTreeSet<u64> =
                voters.split(',').filter_map(|voter| voter.parse().ok()).collect();
            return Ok(voters.into_iter().collect());
        }
        thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("server {at} does not say how it is")
}

fn some(of: &[u64], random: &mut StdRng, count: usize) -> Vec<u64> {
    let mut shuffled = of.to_vec();
    shuffled.shuffle(random);
    shuffled.truncate(count);
    shuffled
}

fn kill(cluster: &mut Cluster, which: &[u64], while_: Duration) -> anyhow::Result<String> {
    for id in which {
        cluster.kill(*id)?;
    }
    thread::sleep(while_);
    for id in which {
        ensure!(!cluster.runs(*id), "server {id} was killed, and runs");
        cluster.spawn(*id)?;
    }
    Ok(format!("killed {which:?}"))
}

fn links(
    cluster: &Cluster,
    of: impl Fn(u64, u64) -> bool,
    mode: Mode,
    while_: Duration,
) -> anyhow::Result<String> {
    let before = cluster.affected(&of);
    cluster.set_links(|from, to| of(from, to).then_some(mode));
    thread::sleep(while_);
    // On a machine that has much else to do, it may take longer until something comes along.
    for _ in 0..100 {
        if cluster.affected(&of) > before {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let affected = cluster.affected(&of) - before;
    ensure!(affected > 0, "links were to be in mode {mode:?}, and nothing came of it");
    Ok(format!("{affected} times on links: {mode:?}"))
}

/// Waits until a server that is cut off has to be sent a snapshot: until the leader keeps nothing of what it
/// needs.
fn wait_until_left_behind(cluster: &Cluster, leader: u64, other: u64) -> anyhow::Result<()> {
    let number = |id, name| cluster.status(id, name)?.parse::<u64>().ok();
    let begun = Instant::now();
    while begun.elapsed() < RECOVERS {
        if let (Some(snapshot), Some(last)) = (number(leader, "snapshot"), number(other, "last"))
            && snapshot > last + KEPT_ENTRIES
        {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("server {other} was cut off, and server {leader} does not leave it behind")
}

fn is_learner(cluster: &Cluster, id: u64) -> bool {
    let leader = cluster.leader(RECOVERS);
    let learners = leader.and_then(|leader| cluster.status(leader, "learners"));
    learners.is_some_and(|learners| learners.split(',').any(|learner| learner == id.to_string()))
}

/// The server that waits is taken in, or whoever was taken in is taken out.
fn membership(cluster: &Cluster, voters: &[u64]) -> anyhow::Result<String> {
    let new = cluster.ids().into_iter().max().context("there is no server")?;
    let (lines, is_in) = match voters.contains(&new) {
        true => (vec![format!("remove {new}")], false),
        // A server that joins is taken in as learner by itself.
        false if is_learner(cluster, new) => (vec![format!("add {new}")], true),
        false => (vec![format!("learn {new}"), format!("add {new}")], true),
    };
    for line in &lines {
        // One that was done already is refused.
        cluster.ask_leader(line, Duration::from_secs(20));
    }
    let leader = cluster.leader(RECOVERS).context("nobody leads after a change")?;
    let now = self::voters(cluster, leader)?;
    ensure!(now.contains(&new) == is_in, "after {lines:?} the voters are {now:?}");
    Ok(format!("{lines:?}"))
}
