//! What a cluster must come to when nothing fails any more.
//!
//! The schedule is kind and fair: links are whole, servers up, messages arrive in order, writes
//! complete, and one election timer at a time runs out, each server's in turn. It knows nothing of
//! who could win.

use super::action::Action;
use super::cluster::SimulatedCluster;
use super::problem::Problem;
use kontiki_specs::ServerId;

/// How often the election timer of each server runs out before there must be a leader that stays.
/// Once to bring the latest term about, once to win in it, and once in reserve.
const ROUNDS_OF_TIMERS: u64 = 3;
/// How often a leader that stays sends heartbeats before all must have its log and have applied
/// it: once for what is missing, and once for the news that it is committed.
const HEARTBEATS: u32 = 2;
/// How many messages and writes there may be until all is quiet.
const STEPS_TO_QUIET: u64 = 20_000;

/// Treats the cluster kindly, until a leader has committed a new command and all servers have the
/// same log and have applied it.
///
/// # Errors
/// What is wrong on the way, or what is still missing at the end.
pub(super) fn recover(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    cluster.lose_nothing();
    cluster.apply(&Action::Heal)?;
    for server in cluster.ids() {
        cluster.apply(&Action::Start(server))?;
    }
    settle(cluster)?;
    for _ in 0..ROUNDS_OF_TIMERS {
        for candidate in cluster.ids() {
            heartbeats(cluster)?;
            if let Some(leader) = cluster.leader() {
                return serve(cluster, leader);
            }
            for server in cluster.ids() {
                cluster.apply(&Action::LeaderContactExpired(server))?;
            }
            cluster.apply(&Action::ElectionTimeout(candidate))?;
            settle(cluster)?;
        }
    }
    heartbeats(cluster)?;
    match cluster.leader() {
        Some(leader) => serve(cluster, leader),
        None => Err(stuck(format!(
            "there is no leader after the election timer of every server ran out \
             {ROUNDS_OF_TIMERS} times"
        ))),
    }
}

/// A leader that has sent heartbeats to all and still leads must get a new command committed and
/// applied everywhere.
fn serve(cluster: &mut SimulatedCluster, leader: ServerId) -> Result<(), Box<Problem>> {
    let before = cluster.committed();
    cluster.apply(&Action::Propose { server: leader, commands: 1, bytes: 0 })?;
    settle(cluster)?;
    for _ in 0..HEARTBEATS {
        heartbeats(cluster)?;
    }
    if !cluster.is_leader(leader) {
        return Err(stuck(format!("{leader} does not stay leader")));
    }
    if cluster.committed() == before {
        return Err(stuck(format!("{leader} leads and cannot commit a command")));
    }
    if !cluster.is_at_one_end() {
        return Err(stuck(format!("{leader} leads and others do not come to the end of its log")));
    }
    Ok(())
}

/// Every leader sends heartbeats, and all that comes of it happens.
fn heartbeats(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    for server in cluster.ids().filter(|server| cluster.is_leader(*server)).collect::<Vec<_>>() {
        cluster.apply(&Action::HeartbeatTimeout(server))?;
    }
    settle(cluster)
}

/// Messages arrive and writes complete until there are none left.
fn settle(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    let begin = cluster.steps();
    while cluster.steps() - begin <= STEPS_TO_QUIET {
        let writing = cluster.ids().filter(|server| cluster.is_writing(*server));
        let writes = writing.map(Action::CompleteWrite);
        let links = cluster.loaded_links();
        let messages = links.map(|(from, to, _)| Action::Deliver { from, to, nth: 0 });
        let due: Vec<Action> = writes.chain(messages).collect();
        if due.is_empty() {
            return Ok(());
        }
        for action in due {
            cluster.apply(&action)?;
        }
    }
    Err(stuck(format!("messages do not cease in {STEPS_TO_QUIET} steps")))
}

fn stuck(missing: String) -> Box<Problem> {
    Box::new(Problem::Stuck { missing })
}
