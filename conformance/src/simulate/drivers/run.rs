//! One run: a cluster of drivers, what happens to it, and what it must come to at the end.

use super::clients::Told;
use super::clock::{MILLISECOND, SECOND, Time};
use super::plan::Plan;
use super::recover::recover;
use super::world::World;
use crate::simulate::fault::Fault;
use crate::simulate::problem::{Invariant, Problem};
use crate::simulate::schedule::randomness;
use kontiki::driver::{Consistency, Event};
use kontiki_specs::scope::Scope;
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{LogIndex, MembershipChange, ServerId};
use rand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many things are done to a cluster, until it is to recover.
const ACTIONS: u32 = 600;
/// How long it takes until the next, at most.
const PAUSE: Time = 20 * MILLISECOND;
/// How many bytes a command has behind its number.
const BYTES: [usize; 4] = [0, 10, 100, 500];
/// How many commands are proposed at a time.
const COMMANDS: [u32; 4] = [1, 1, 2, 10];
/// How long clients wait; as long as usual, if nothing is said.
const PATIENCE: [Option<Time>; 3] = [None, Some(50 * MILLISECOND), Some(SECOND)];

/// How a run went.
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) steps: u64,
    pub(super) at: Time,
    pub(super) told: Told,
    pub(super) failure: Option<Box<Problem>>,
}

/// Takes the run of a seed.
pub(super) fn run(seed: u64, servers: u64) -> Run {
    run_with(seed, servers, None)
}

/// Takes the run of a seed, with something wrong. A panic is found like anything else.
fn run_with(seed: u64, servers: u64, fault: Option<Fault>) -> Run {
    let mut random = randomness(seed);
    let mut plan = Plan::draw(servers, &mut random);
    plan.parameters.fault = fault;
    let failed =
        |problem| Run { plan, steps: 1, at: 0, told: Told::default(), failure: Some(problem) };
    let taken = catch_unwind(AssertUnwindSafe(|| match World::new(plan, random) {
        Ok(world) => take(world),
        Err(problem) => failed(problem),
    }));
    taken.unwrap_or_else(|_| {
        let (invariant, server) = (Invariant::OwnInvariant, ServerId(0));
        failed(Box::new(Problem::Broken { invariant, server, how: "a panic".to_string() }))
    })
}

/// The steps that servers take in the run of a seed, in their order, and where they run.
pub(super) fn record(seed: u64, servers: u64) -> (Scope, Vec<TraceStep>) {
    let mut random = randomness(seed);
    let plan = Plan::draw(servers, &mut random);
    let steps = World::new(plan, random).map(|mut world| {
        let record = world.record();
        // What goes wrong was found before.
        let _ = live(&mut world).and_then(|()| recover(&mut world));
        record.take()
    });
    (plan.scope(), steps.unwrap_or_default())
}

fn take(mut world: World) -> Run {
    let failure = live(&mut world).and_then(|()| recover(&mut world)).err();
    for node in &mut world.nodes {
        let answers = node.driver.observer_mut().answers_by_lease;
        world.clients.told.count_many("numbers of reads answered by lease", answers);
    }
    Run {
        plan: world.plan,
        steps: world.steps(),
        at: world.now,
        told: std::mem::take(&mut world.clients.told),
        failure,
    }
}

fn live(world: &mut World) -> Result<(), Box<Problem>> {
    world.run_till(10 * SECOND, |world| world.leader().is_some())?;
    world.weather = world.plan.weather;
    for _ in 0..ACTIONS {
        act(world)?;
        let pause = world.random.random_range(1..=PAUSE);
        world.run_until(world.now + pause)?;
    }
    Ok(())
}

/// Does something to a cluster.
fn act(world: &mut World) -> Result<(), Box<Problem>> {
    let servers = world.nodes.len();
    let (node, other) =
        (world.random.random_range(0..servers), world.random.random_range(0..servers));
    let Plan { crashes, sleeps, jumps, cuts, changes, .. } = world.plan;
    if world.per_mille(crashes) {
        return go_down(world, node);
    }
    if world.per_mille(sleeps) {
        let asleep = world.random.random_range(1..=5 * SECOND);
        world.sleep(node, asleep);
        return Ok(());
    }
    if world.per_mille(jumps) {
        let jump = world.random.random_range(-500_000..=5_000_000);
        return world.jump(node, jump);
    }
    if world.per_mille(cuts) {
        cut(world, node, other);
        return Ok(());
    }
    if !world.nodes[node].runs() {
        return Ok(());
    }
    // Clients and operators know a leader as a rule.
    let leader = world.leader().filter(|_| world.random.random_ratio(4, 5)).unwrap_or(node);
    if world.per_mille(changes) {
        let change = change(world);
        return world.change(leader, change);
    }
    ask(world, node, leader, other)
}

fn go_down(world: &mut World, node: usize) -> Result<(), Box<Problem>> {
    match world.random.random_range(0..8) {
        0 => world.stops(node, Event::StateMachineFailed { how: "simulated".to_string() }),
        1 => world.shut_down(node),
        _ => {
            // What was under way before is still under way after a short while.
            let longest = if world.random.random() { 5 * MILLISECOND } else { 3 * SECOND };
            let down = world.random.random_range(1..=longest);
            world.crash(node, down);
            Ok(())
        }
    }
}

fn cut(world: &mut World, one: usize, other: usize) {
    if world.random.random() {
        world.cut.clear();
        return;
    }
    if world.random.random_ratio(1, 3) {
        // One server is cut off from all others.
        let others = (0..world.nodes.len()).filter(|other| *other != one);
        world.cut.extend(others.flat_map(|other| [(one, other), (other, one)]));
        return;
    }
    world.cut.insert((one, other));
    if world.random.random() {
        world.cut.insert((other, one));
    }
}

fn ask(world: &mut World, node: usize, leader: usize, other: usize) -> Result<(), Box<Problem>> {
    let patience = PATIENCE[world.random.random_range(0..PATIENCE.len())];
    match world.random.random_range(0..100) {
        0..60 => {
            for _ in 0..COMMANDS[world.random.random_range(0..COMMANDS.len())] {
                let bytes = BYTES[world.random.random_range(0..BYTES.len())];
                world.propose(leader, bytes, patience)?;
            }
            Ok(())
        }
        60..80 => world.read(node, Consistency::Linearizable, patience).map(drop),
        80..90 => world.read(leader, Consistency::Linearizable, patience).map(drop),
        90..94 => {
            let index = world.random.random_range(0..=world.clients.committed.0);
            world.read(node, Consistency::AtLeast(LogIndex(index)), patience).map(drop)
        }
        94..96 => world.read(node, Consistency::Stale, patience).map(drop),
        96..98 => world.take_snapshot(node),
        _ => world.transfer(leader, world.nodes[other].id),
    }
}

fn change(world: &mut World) -> MembershipChange {
    let servers = world.nodes.len() as u64;
    let server = ServerId(world.random.random_range(1..=servers));
    match world.random.random_range(0..5) {
        0 => MembershipChange::AddLearner(server),
        1 | 2 => MembershipChange::AddVoter(server),
        3 => MembershipChange::Remove(server),
        _ => {
            let votes = |_: &u64| world.random.random_ratio(2, 3);
            let voters = (1..=servers).filter(votes).map(ServerId).collect();
            MembershipChange::Replace { voters, learners: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::implementation::DiskHabit;
    use crate::simulate::problem::Kind;

    /// So many runs find any mistake.
    const RUNS: u64 = 300;

    /// As what a mistake is found.
    fn found(fault: Fault) -> Kind {
        let mut runs = (0..RUNS).map(|seed| run_with(seed, 3, Some(fault)));
        let failure = runs.find_map(|run| run.failure);
        failure.unwrap_or_else(|| panic!("{fault:?} is not found")).kind()
    }

    #[test]
    fn a_state_machine_that_differs_is_found() {
        // Who lacks what came before executes the next entry out of order, gives another snapshot, or
        // serves a read that sees too little.
        let as_what = [
            Invariant::SameContent,
            Invariant::AppliedInOrder,
            Invariant::SnapshotOfCommitted,
            Invariant::LinearizableReads,
        ];
        let as_what = as_what.map(Kind::Broken);
        for fault in [Fault::ExecutesTwice, Fault::RestoresNothing, Fault::StartsFromNothing] {
            let found = found(fault);
            assert!(as_what.contains(&found), "{fault:?} as {found:?}");
        }
    }

    #[test]
    fn a_shell_that_says_too_early_that_something_is_executed_is_found() {
        let found = found(Fault::ReadsBeforeApplied);
        assert_eq!(found, Kind::Broken(Invariant::LinearizableReads));
    }

    /// S1 leads and is cut off. When the others have elected another, and S1 has not noticed, it is asked
    /// for a read. Random runs come to this too seldom.
    fn reads_from_who_is_cut_off(fault: Option<Fault>) -> Result<(), Box<Problem>> {
        let mut random = randomness(1);
        let mut plan = Plan::draw(3, &mut random).with_leases();
        plan.parameters.fault = fault;
        let mut world = World::new(plan, random)?;
        world.run_till(10 * SECOND, |world| world.leader().is_some())?;
        while let Some(leader) = world.leader().filter(|leader| *leader != 0) {
            world.transfer(leader, ServerId(1))?;
            world.run_until(world.now + SECOND)?;
        }
        world.run_until(world.now + SECOND)?;
        assert_eq!(world.leader(), Some(0));
        world.cut.extend([(0, 1), (0, 2), (1, 0), (2, 0)]);
        let leads = |world: &World, node: usize| {
            world.nodes[node].driver.server().role() == kontiki::RoleKind::Leader
        };
        world.run_till(10 * SECOND, |world| leads(world, 1) || leads(world, 2))?;
        world.run_until(world.now + 50 * MILLISECOND)?;
        // Without a mistake S1 may have looked meanwhile whether anybody answers it.
        assert!(leads(&world, 0) || fault.is_none());
        world.read(0, Consistency::Linearizable, None)?;
        world.run_until(world.now + 50 * MILLISECOND)
    }

    #[test]
    fn a_lease_that_outlasts_promises_is_found() {
        let found = reads_from_who_is_cut_off(Some(Fault::LongLeases)).unwrap_err();
        assert_eq!(found.kind(), Kind::Broken(Invariant::LinearizableReads));
        reads_from_who_is_cut_off(None).unwrap();
    }

    #[test]
    fn an_incarnation_that_is_used_again_is_found() {
        assert_eq!(found(Fault::UsesNumbersAgain), Kind::Divergence);
    }

    #[test]
    fn a_disk_that_makes_a_mistake_is_found() {
        for habit in [DiskHabit::ForgetsTooMuch, DiskHabit::KeepsLog, DiskHabit::LosesChunks] {
            found(Fault::Disk(habit));
        }
    }
}
