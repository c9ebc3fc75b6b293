//! What a cluster must come to when nothing fails any more.
//!
//! The schedule is kind and fair: links are whole, messages arrive in order, writes complete, and
//! one election timer at a time runs out, each server's in turn. It knows nothing of who could win.
//! Servers that were taken out campaign like the others: they must not keep those that stay from
//! going on.

use super::action::Action;
use super::cluster::SimulatedCluster;
use super::parameters::Survivors;
use super::problem::Problem;
use kontiki_specs::ServerId;

/// How often all servers have their turn before there must be a leader that gets on.
const ROUNDS_OF_TIMERS: u64 = 2;
/// How often the election timer of one server runs out in its turn: once to bring the latest term
/// about, once to win in it, and once in reserve.
const TIMEOUTS: u64 = 3;
/// How often leaders send heartbeats before all must have their log and have applied it: once for
/// what is missing, and once to say that it is committed.
const HEARTBEATS: u32 = 2;
/// How many messages and writes there may be until all is quiet.
const STEPS_TO_QUIET: u64 = 40_000;

/// Treats the cluster kindly, until a leader has finished what changes of membership were under
/// way, has committed a new command, all members have the same log and have applied it and serve
/// reads, and another voter has taken leadership over.
///
/// # Errors
/// What is wrong on the way, or what is still missing at the end.
pub(super) fn recover(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    cluster.lose_nothing();
    cluster.apply(&Action::Heal)?;
    match cluster.parameters().survivors {
        Survivors::All => {
            for server in cluster.ids() {
                cluster.apply(&Action::Start(server))?;
            }
        }
        Survivors::Few { lowest_go } => leave_few(cluster, lowest_go)?,
    }
    for server in cluster.ids() {
        cluster.apply(&Action::TransferExpired(server))?;
    }
    settle(cluster)?;
    let mut missing = match get_on(cluster)? {
        Ok(()) => return Ok(()),
        Err(missing) => missing,
    };
    for _ in 0..ROUNDS_OF_TIMERS {
        for candidate in cluster.ids().filter(|server| cluster.is_up(*server)).collect::<Vec<_>>() {
            for _ in 0..TIMEOUTS {
                contact_expires(cluster)?;
                cluster.apply(&Action::ElectionTimeout(candidate))?;
                settle(cluster)?;
                match get_on(cluster)? {
                    Ok(()) => return Ok(()),
                    Err(found) => missing = found,
                }
            }
        }
    }
    Err(stuck(missing))
}

/// What is still missing where it may yet come.
type Missing = String;

/// All writes complete, all messages are lost, and servers go for good as long as the others
/// suffice.
fn leave_few(cluster: &mut SimulatedCluster, lowest_go: bool) -> Result<(), Box<Problem>> {
    for server in cluster.ids() {
        cluster.apply(&Action::Start(server))?;
        while cluster.is_writing(server) {
            cluster.apply(&Action::CompleteWrite(server))?;
        }
    }
    cluster.lose_messages();
    let mut stay: Vec<ServerId> = cluster.ids().collect();
    let mut in_order = stay.clone();
    if !lowest_go {
        in_order.reverse();
    }
    for goes in in_order {
        let others: Vec<ServerId> = stay.iter().copied().filter(|other| *other != goes).collect();
        if suffices(cluster, &others) {
            cluster.apply(&Action::Crash { server: goes, torn: None })?;
            stay = others;
        }
    }
    Ok(())
}

/// Whether these servers must be able to recover without the others: each of those with the best
/// log, of those that may seek election, has a quorum of its configuration among those that would
/// vote for it. Who has been taken out may have a better log than those that stay.
fn suffices(cluster: &SimulatedCluster, servers: &[ServerId]) -> bool {
    let end = |server: &ServerId| {
        let last = cluster.last(*server);
        (last.term, last.index)
    };
    let seekers = || servers.iter().filter(|server| cluster.may_seek(**server));
    let Some(best) = seekers().map(end).max() else { return false };
    let voters: Vec<ServerId> =
        servers.iter().copied().filter(|server| end(server) <= best).collect();
    seekers()
        .filter(|server| end(server) == best)
        .all(|server| cluster.is_quorum_of(*server, &voters))
}

/// Whether there is a leader and it gets on.
fn get_on(cluster: &mut SimulatedCluster) -> Result<Result<(), Missing>, Box<Problem>> {
    heartbeats(cluster)?;
    let Some(leader) = cluster.leader() else {
        return Ok(Err("the election timers of all servers ran out, and none leads".to_string()));
    };
    if !cluster.has_finished(leader) {
        return Ok(Err(format!("{leader} leads and does not finish what was begun")));
    }
    let before = cluster.committed();
    cluster.apply(&Action::Propose { server: leader, commands: 1, bytes: 0 })?;
    settle(cluster)?;
    heartbeats(cluster)?;
    if !cluster.is_leader(leader) {
        return Ok(Err(format!("{leader} does not stay leader")));
    }
    if cluster.committed() == before {
        return Ok(Err(format!("{leader} leads and cannot commit a command")));
    }
    if !cluster.is_at_one_end(leader) {
        let how = format!("{leader} leads and others do not come to the end of its log");
        return Ok(Err(how));
    }
    reads_are_served(cluster, leader)?;
    outsiders_campaign(cluster, leader)?;
    hands_over(cluster, leader)?;
    Ok(Ok(()))
}

/// C3, C5: the leader and every other member serve a read. What waited at members before ends when it
/// is asked for again.
fn reads_are_served(cluster: &mut SimulatedCluster, leader: ServerId) -> Result<(), Box<Problem>> {
    let members: Vec<ServerId> = cluster.members_up(leader).collect();
    for server in &members {
        for nth in 0..cluster.unanswered_reads(*server) {
            cluster.apply(&Action::ReadAgain { server: *server, nth })?;
        }
    }
    settle(cluster)?;
    let served = |cluster: &SimulatedCluster| {
        let exercised = cluster.exercised();
        exercised.reads_of_leaders + exercised.reads_of_followers
    };
    for server in members {
        let before = served(cluster);
        cluster.apply(&Action::Read { server, reads: 1 })?;
        settle(cluster)?;
        if cluster.waiting_reads(server) > 0 || served(cluster) == before {
            return Err(stuck(format!("{leader} leads and {server} serves no read")));
        }
    }
    Ok(())
}

/// E8: with leader contact on, whoever is no member may campaign as it likes.
fn outsiders_campaign(
    cluster: &mut SimulatedCluster,
    leader: ServerId,
) -> Result<(), Box<Problem>> {
    if !cluster.parameters().leader_contact {
        return Ok(());
    }
    for outsider in cluster.ids().filter(|server| *server != leader).collect::<Vec<_>>() {
        if !cluster.has_leader_contact(outsider) {
            cluster.apply(&Action::ElectionTimeout(outsider))?;
            settle(cluster)?;
        }
    }
    heartbeats(cluster)?;
    if cluster.leader() == Some(leader) {
        return Ok(());
    }
    Err(stuck(format!("{leader} leads and is deposed by servers that are no members")))
}

/// E10: another voter that is up can take leadership over.
fn hands_over(cluster: &mut SimulatedCluster, leader: ServerId) -> Result<(), Box<Problem>> {
    let others = cluster.configuration(leader).map(|now| now.voters.clone()).unwrap_or_default();
    let is_next = |server: &ServerId| *server != leader && cluster.is_up(*server);
    let Some(to) = others.into_iter().find(is_next) else { return Ok(()) };
    cluster.apply(&Action::TransferLeadership { server: leader, to })?;
    settle(cluster)?;
    heartbeats(cluster)?;
    if cluster.leader() == Some(to) && cluster.has_finished(to) {
        return Ok(());
    }
    Err(stuck(format!("{leader} leads and cannot hand over to {to}")))
}

/// Followers notice that they hear from no leader, and leaders whom a majority does not answer
/// notice that: at the second look, as they may have been answered before the first.
fn contact_expires(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    let timeout = cluster.parameters().leases.map_or(0, |clocks| clocks.timeout);
    for _ in 0..2 {
        cluster.apply(&Action::Wait { actions: 2 * timeout })?;
        for server in cluster.ids() {
            cluster.apply(&Action::QuorumContactExpired(server))?;
        }
        heartbeats(cluster)?;
    }
    cluster.apply(&Action::Wait { actions: 2 * timeout })?;
    for server in cluster.ids() {
        cluster.apply(&Action::LeaderContactExpired(server))?;
    }
    Ok(())
}

/// Every leader sends heartbeats, and all that comes of it happens; and again.
fn heartbeats(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    for _ in 0..HEARTBEATS {
        let leaders = cluster.ids().filter(|server| cluster.is_leader(*server));
        for server in leaders.collect::<Vec<_>>() {
            cluster.apply(&Action::HeartbeatTimeout(server))?;
        }
        settle(cluster)?;
    }
    Ok(())
}

/// Messages arrive and writes complete until there are none left.
fn settle(cluster: &mut SimulatedCluster) -> Result<(), Box<Problem>> {
    let begin = cluster.steps();
    while cluster.steps() - begin <= STEPS_TO_QUIET {
        let writing = cluster.ids().filter(|server| cluster.is_writing(*server));
        let writes = writing.map(Action::CompleteWrite);
        let taking = cluster.ids().filter(|server| cluster.is_taking_snapshot(*server));
        let snapshots = taking.map(Action::CompleteSnapshot);
        let links = cluster.loaded_links();
        let messages = links.map(|(from, to, _)| Action::Deliver { from, to, nth: 0 });
        let due: Vec<Action> = writes.chain(snapshots).chain(messages).collect();
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
