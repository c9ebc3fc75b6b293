//! What a cluster of drivers must come to when nothing fails any more, and in what time.

use super::clock::{SECOND, Time};
use super::plan::Weather;
use super::world::{World, place};
use crate::simulate::problem::{Invariant, Problem};
use kontiki::driver::Consistency;
use kontiki_specs::ServerId;

/// Until the last write that stalls is done.
const STALLS: Time = Weather::STALL + SECOND;
/// Until a leader has finished what changes of membership were under way.
const ELECTED: Time = 20 * SECOND;
/// Until every request has an outcome: those without a deadline wait for ten seconds.
const ANSWERED: Time = 12 * SECOND;
/// Until a new command is applied, and everybody has it.
const APPLIED: Time = 5 * SECOND;

/// From now on all are up, links are whole, disks get on, and clocks go as they should. Within
/// bounded time a leader commits a new command and all members execute it; and every request has an
/// outcome that is true.
pub(super) fn recover(world: &mut World) -> Result<(), Box<Problem>> {
    world.cut.clear();
    world.weather = Weather::CALM;
    for node in 0..world.nodes.len() {
        world.start(node)?;
        world.go_on(node)?;
    }
    world.run_until(world.now + STALLS)?;
    for node in 0..world.nodes.len() {
        world.start(node)?; // Its disk may have failed meanwhile.
    }
    until(world, ELECTED, "no leader finishes what was begun", has_settled)?;
    until(world, ANSWERED, "somebody waits for an outcome", |world| {
        world.nodes.iter().all(|node| world.clients.waiting(node.id) == 0)
    })?;
    until(world, ELECTED, "no leader stays", has_settled)?;
    let Some(leader) = world.leader() else { return Ok(()) };
    let ticket = world.propose(leader, 0, None)?;
    until(world, APPLIED, "a new command is not applied", |world| {
        world.clients.is_applied(ticket)
    })?;
    until(world, APPLIED, "members do not have the leader's log", |world| {
        let last_index = world.nodes[leader].driver.server().last_index();
        members(world, leader).into_iter().all(|node| world.nodes[node].executed().0 == last_index)
    })?;
    // Whoever has heard of the new command knows the leader, and has no reason to refuse.
    let mut reads = Vec::new();
    for node in members(world, leader) {
        reads.push(world.read(node, Consistency::Linearizable, None)?);
    }
    until(world, APPLIED, "members serve no reads", |world| {
        reads.iter().all(|read| world.clients.is_served(*read))
    })?;
    nobody_is_counted(world)?;
    world.clients.check()
}

/// No driver counts a request that has its outcome: it would have room for fewer and fewer.
fn nobody_is_counted(world: &World) -> Result<(), Box<Problem>> {
    for node in &world.nodes {
        let (counted, waiting) = (node.driver.waiting(), world.clients.waiting(node.id));
        if counted != waiting as u64 {
            let how = format!("the driver counts {counted} requests, and {waiting} wait");
            return Err(node.broken(Invariant::OneOutcome, how));
        }
    }
    Ok(())
}

/// Whether a leader has committed all that it has, and is not handing over.
fn has_settled(world: &World) -> bool {
    let leader = world.leader().map(|leader| world.nodes[leader].driver.server());
    leader.is_some_and(|leader| {
        leader.transfers_to().is_none() && leader.commit_index() == leader.last_index()
    })
}

/// The places of those who vote, as a server has it.
fn members(world: &World, of: usize) -> Vec<usize> {
    let voters: &std::collections::BTreeSet<ServerId> =
        &world.nodes[of].driver.server().configuration().voters;
    voters.iter().filter_map(|voter| place(*voter)).collect()
}

fn until(
    world: &mut World,
    longest: Time,
    missing: &str,
    holds: impl Fn(&World) -> bool,
) -> Result<(), Box<Problem>> {
    match world.run_till(longest, holds)? {
        true => Ok(()),
        false => {
            let missing = format!("in {} s {missing}", longest / SECOND);
            Err(Box::new(Problem::Stuck { missing }))
        }
    }
}
