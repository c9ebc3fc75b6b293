//! What goes wrong, and whether it did.

use crate::cluster::{Cluster, field};
use crate::disk_faults;
use crate::proxy::Mode;
use crate::server::KEPT_ENTRIES;
use anyhow::{Context, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
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
    /// A process is killed again and again while it starts. If its disk can lose what was not synced, it does.
    KillInStart,
    /// A process is told to end (`SIGTERM`), and its server shuts down.
    ShutDown,
    /// The leader's process stands still for a while.
    StopLeader,
    /// The leader and perhaps others, half of the servers at most, are cut off from the rest.
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
    /// A server is taken in, or one is taken out.
    Membership,
    /// One server takes another's place, in one change.
    Replace,
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
    pub const ALL: [Fault; 24] = [
        Fault::KillLeader,
        Fault::Partition,
        Fault::LeftBehind,
        Fault::Membership,
        Fault::Replace,
        Fault::StopLeader,
        Fault::KillAll,
        Fault::KillInStart,
        Fault::ShutDown,
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

    /// Whether it is about the links between servers.
    fn is_of_links(self) -> bool {
        matches!(
            self,
            Fault::Partition
                | Fault::LeaderMute
                | Fault::LeaderDeaf
                | Fault::Bridge
                | Fault::SlowLinks
                | Fault::LossyLinks
                | Fault::LeftBehind
        )
    }
}

/// How long a leader may take to be there when nothing is wrong any more.
pub const RECOVERS: Duration = Duration::from_secs(60);

/// How often another fault finds slow links.
const ON_SLOW_LINKS: f64 = 0.25;

/// Makes one thing go wrong for a while. An error if it did not, or if the cluster did not come back. Now and
/// then links are slow meanwhile. Disks that lie say that they sync, and do not, before power is lost.
pub fn inflict(
    fault: Fault,
    cluster: &mut Cluster,
    lies: bool,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    if !random.random_bool(ON_SLOW_LINKS) || fault.is_of_links() {
        return inflict_alone(fault, cluster, lies, random);
    }
    let before = cluster.affected(|_, _| true);
    let delay = Mode::Delay(random.random_range(20..120));
    cluster.set_links(|_, _| Some(delay));
    let told = inflict_alone(fault, cluster, lies, random)?;
    ensure!(
        cluster.affected(|_, _| true) > before,
        "links were to be slow, and nothing came of it"
    );
    Ok(format!("{told}, while links were slow: {delay:?}"))
}

fn inflict_alone(
    fault: Fault,
    cluster: &mut Cluster,
    lies: bool,
    random: &mut StdRng,
) -> anyhow::Result<String> {
    cluster.are_well()?;
    let Members { leader, voters, .. } = members(cluster).context("though nothing is wrong")?;
    let while_ = Duration::from_millis(random.random_range(1200..2500));
    let others: Vec<u64> = voters.iter().copied().filter(|id| *id != leader).collect();
    let other = *others.choose(random).context("the leader is alone")?;
    let any = *voters.choose(random).context("there is no voter")?;
    let told = match fault {
        Fault::KillLeader => kill(cluster, &[leader], while_)?,
        Fault::KillOne => kill(cluster, &[other], while_)?,
        Fault::KillMajority => kill(cluster, &some(&voters, random, voters.len() / 2 + 1), while_)?,
        Fault::KillAll => {
            let all = cluster.ids();
            kill(cluster, &all, Duration::from_millis(100))?
        }
        Fault::KillInStart => kill_in_start(cluster, any, random)?,
        Fault::ShutDown => {
            let which = if random.random_bool(0.5) { leader } else { any };
            cluster.shut_down(which)?;
            thread::sleep(while_);
            cluster.spawn(which)?;
            format!("server {which} shut down")
        }
        Fault::StopLeader => {
            cluster.stop(leader)?;
            thread::sleep(while_);
            cluster.go_on(leader)?;
            format!("server {leader} stood still")
        }
        Fault::Partition => {
            let with_leader = random.random_range(0..voters.len() / 2);
            let mut away = some(&others, random, with_leader);
            away.push(leader);
            // Who has no vote is on either side.
            let waiting = cluster.ids().into_iter().filter(|id| !voters.contains(id));
            away.extend(waiting.filter(|_| random.random_bool(0.5)));
            let apart = move |from: u64, to: u64| away.contains(&from) != away.contains(&to);
            links(cluster, apart, Mode::Hold, while_)?
        }
        Fault::LeaderMute => links(cluster, |from, _| from == leader, Mode::Hold, while_)?,
        Fault::LeaderDeaf => links(cluster, |_, to| to == leader, Mode::Hold, while_)?,
        Fault::Bridge => {
            let bridge = other;
            let mut half: Vec<u64> = others.iter().copied().filter(|id| *id != bridge).collect();
            half.shuffle(random);
            half.truncate(half.len() / 2);
            half.push(leader);
            let apart = move |from: u64, to: u64| {
                from != bridge && to != bridge && half.contains(&from) != half.contains(&to)
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
            // Where one clock is too slow, that server leads afterwards, so that it shows.
            let slow = cluster.slow().filter(|slow| voters.contains(slow));
            let told = transfer(cluster, slow.filter(|slow| *slow != leader).unwrap_or(other))?;
            match slow {
                Some(slow) if slow == leader => transfer(cluster, slow)?,
                _ => told,
            }
        }
        Fault::Membership => membership(cluster, any)?,
        Fault::Replace => replace(cluster, while_, random)?,
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

fn transfer(cluster: &Cluster, to: u64) -> anyhow::Result<String> {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERS {
        let leader = cluster.leader(RECOVERS).context("nobody leads")?;
        // That the last one has handed over may have been said too late.
        let is_done = leader == to || {
            let answer = cluster.ask(leader, &format!("transfer {to}"), CHANGES);
            answer.is_some_and(|answer| answer.starts_with("ok"))
        };
        if is_done {
            return Ok(format!("server {to} was to lead"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("nobody hands over to server {to}")
}

/// Who belongs to the cluster, as its leader says.
pub struct Members {
    /// A voter.
    leader: u64,
    /// Who has a vote.
    pub voters: Vec<u64>,
    learners: Vec<u64>,
}

impl Members {
    /// Whether a server votes in another's place.
    fn have_replaced(&self, old: u64, new: u64) -> bool {
        self.voters.contains(&new) && !self.voters.contains(&old)
    }
}

/// Who belongs to the cluster, as soon as no change is under way.
pub fn members(cluster: &Cluster) -> anyhow::Result<Members> {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERS {
        let leader = cluster.leader(RECOVERS).context("nobody leads")?;
        let status = cluster.ask(leader, "status", Duration::from_secs(1)).unwrap_or_default();
        let ids = |name| -> Vec<u64> {
            let ids = field(&status, name).unwrap_or_default();
            ids.split(',').filter_map(|id| id.parse().ok()).collect()
        };
        let (voters, learners) = (ids("voters"), ids("learners"));
        let is_settled = field(&status, "changing").as_deref() == Some("0");
        // A leader that was taken out leads on for a moment.
        if is_settled && voters.contains(&leader) {
            return Ok(Members { leader, voters, learners });
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("a change of membership does not come to an end")
}

fn some(of: &[u64], random: &mut StdRng, count: usize) -> Vec<u64> {
    let mut shuffled = of.to_vec();
    shuffled.shuffle(random);
    shuffled.truncate(count);
    shuffled
}

fn kill(cluster: &mut Cluster, which: &[u64], while_: Duration) -> anyhow::Result<String> {
    cluster.kill(which)?;
    thread::sleep(while_);
    for id in which {
        ensure!(!cluster.runs(*id), "server {id} was killed, and runs");
        cluster.spawn(*id)?;
    }
    Ok(format!("killed {which:?}"))
}

/// How often a server is killed in a row, each time later after its start. One with little on its disk starts in
/// some ten milliseconds.
const KILLS_IN_START: u64 = 10;
/// By how many milliseconds later.
const LATER: u64 = 3;

fn kill_in_start(cluster: &mut Cluster, id: u64, random: &mut StdRng) -> anyhow::Result<String> {
    let (mut in_start, mut lost) = (0, String::new());
    cluster.kill(&[id])?;
    for kill in 0..KILLS_IN_START {
        let moment = random.random_range(kill * LATER..(kill + 1) * LATER);
        cluster.spawn(id)?;
        thread::sleep(Duration::from_millis(moment));
        match cluster.status(id, "failed") {
            Some(_) => cluster.is_well(id)?,
            None => in_start += 1,
        }
        cluster.kill_as_it_is(id)?;
        if let Ok(disk) = cluster.disk(id) {
            lost = format!("; its disk in the end: {}", disk.lose_power(false)?);
        }
    }
    ensure!(in_start > 0, "server {id} was to be killed while it starts, and starts too fast");
    cluster.spawn(id)?;
    Ok(format!("killed {id} {KILLS_IN_START} times, {in_start} times while it started{lost}"))
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

/// The server without a vote. All others have one, so there are as many voters as at the beginning, or one more.
fn waiting(cluster: &Cluster, members: &Members) -> Option<u64> {
    cluster.ids().into_iter().find(|id| !members.voters.contains(id))
}

/// The next step of taking a server in: as learner, then as voter. One that joins for the first time takes them by
/// itself.
fn step_in(members: &Members, id: u64) -> String {
    let verb = if members.learners.contains(&id) { "add" } else { "learn" };
    format!("{verb} {id}")
}

/// The server that waits is taken in; if none waits, another one is taken out.
fn membership(cluster: &Cluster, out: u64) -> anyhow::Result<String> {
    let begun = Instant::now();
    let waits = waiting(cluster, &members(cluster)?);
    let which = waits.unwrap_or(out);
    while begun.elapsed() < RECOVERS {
        let members = members(cluster)?;
        let votes = members.voters.contains(&which);
        match waits {
            Some(_) if votes => return Ok(format!("server {which} was taken in")),
            None if !votes => return Ok(format!("server {which} was taken out")),
            _ => {}
        }
        let line = match waits {
            Some(_) => step_in(&members, which),
            None => format!("remove {which}"),
        };
        // Whether it is done shows in the members. It is refused as long as a learner has not caught up.
        cluster.ask(members.leader, &line, CHANGES);
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("the membership of server {which} was to change, and it does not")
}

/// How long a leader may take to answer that a change is done, before it is asked how things stand.
const CHANGES: Duration = Duration::from_secs(5);

/// One server takes another's place in a single change, so a joint configuration is in force for a moment. Half of
/// the leaders that make the change are killed in that moment, or near it. It is done only if that shows: nothing else
/// takes that server out.
fn replace(cluster: &mut Cluster, while_: Duration, random: &mut StdRng) -> anyhow::Result<String> {
    let begun = Instant::now();
    let order = some(&cluster.ids(), random, usize::MAX);
    let mut kills = random.random_bool(0.5);
    let mut asked = None;
    let mut killed = String::new();
    while begun.elapsed() < RECOVERS {
        let members = members(cluster)?;
        if let Some((old, new)) = asked.filter(|(old, new)| members.have_replaced(*old, *new)) {
            return Ok(format!("server {new} took the place of server {old}{killed}"));
        }
        let leader = members.leader;
        let voter = order.iter().copied().find(|id| members.voters.contains(id));
        let old = voter.context("there is no voter")?;
        match waiting(cluster, &members) {
            // All vote. So one has to go first, and not the one whose place is to be taken.
            None => {
                let last = order.last().context("there is no server")?;
                cluster.ask(leader, &format!("remove {last}"), CHANGES);
            }
            Some(new) if !members.learners.contains(&new) => {
                cluster.ask(leader, &step_in(&members, new), CHANGES);
            }
            Some(new) => {
                asked = Some((old, new));
                let moment = Duration::from_millis(random.random_range(1..20));
                let patience = if kills { moment } else { CHANGES };
                let answer = cluster.ask(leader, &format!("replace {old} {new}"), patience);
                // One that has answered has refused the change, or has done it.
                if kills && answer.is_none() {
                    killed = format!("; {}", kill(cluster, &[leader], while_)?);
                    kills = false;
                }
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("no server takes another's place")
}
