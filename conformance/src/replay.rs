//! Replays an atlas on the implementation, from boot along real input sequences, and compares
//! everything after every input.

use crate::atlas::Atlas;
use crate::divergence::{Divergence, Occasion, Reaction, agree, observed};
use crate::hidden::HiddenState;
use crate::ill_formed::ill_formed;
use crate::implementation::{Failure, Implementation, Memory, config};
use crate::nonsense::reasons_to_reject;
use kontiki::core::StartError;
use kontiki_model::server::ServerState;
use kontiki_specs::{Input, Output, ServerId};
use rustc_hash::{FxHashMap, FxHashSet};

/// What a replay found.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// States of the model's servers that were come to.
    pub states: u64,
    /// Pairs of a model state and the implementation's that were come to together, those that
    /// differ only in what is kept in memory taken for one. One more than there are states means
    /// that the implementation hides something from the comparison: replay ends there.
    pub pairs: u64,
    /// The same pairs, taken apart by what is kept in memory, too. All are replayed.
    pub memories: u64,
    /// Transitions compared: pairs with what can happen to them.
    pub transitions: u64,
    /// Of those, how many the implementation had to turn away, and did.
    pub rejected: u64,
    /// Crashes compared: what the implementation recovers to from every disk that a crash may
    /// leave.
    pub crashes: u64,
    /// The first difference.
    pub divergence: Option<Divergence>,
    /// What the implementation hides, if it does.
    pub hidden: Option<HiddenState>,
}

/// A pair that was come to: the two servers, and from where.
struct Node {
    model: ServerState,
    implementation: Implementation,
    arrival: Option<(usize, Vec<Input>)>,
}

struct Replay<'a> {
    atlas: &'a Atlas,
    memory: Memory,
    nodes: Vec<Node>,
    seen: FxHashSet<(ServerState, Implementation)>,
    /// For each state of the model, the first pair with it that was gone on from, and the
    /// implementation's state there with memory released.
    first: FxHashMap<ServerState, (usize, Implementation)>,
    /// Pairs whose crashes have been compared; more than `seen`, where the scope ends.
    crashed: FxHashSet<(ServerState, Implementation)>,
    report: ReplayReport,
}

/// Replays an atlas to its end or to the first difference.
///
/// # Errors
/// If the implementation refuses the scope's configuration.
pub fn replay(atlas: &Atlas, memory: Memory) -> Result<ReplayReport, StartError> {
    let mut replay = Replay {
        atlas,
        memory,
        nodes: Vec::new(),
        seen: FxHashSet::default(),
        first: FxHashMap::default(),
        crashed: FxHashSet::default(),
        report: ReplayReport::default(),
    };
    for server in atlas.servers() {
        let implementation = Implementation::boot(config(atlas.scope(), server.id, memory))?;
        let implementation = implementation.with_sessions_of(atlas.scope());
        replay.arrive(server.boot(), implementation, None);
    }
    let mut next = 0;
    while next < replay.nodes.len()
        && replay.report.divergence.is_none()
        && replay.report.hidden.is_none()
    {
        if let Err(divergence) = replay.expand(next) {
            replay.report.divergence = Some(*divergence);
        }
        next += 1;
    }
    replay.report.memories = replay.nodes.len() as u64;
    let hidden = usize::from(replay.report.hidden.is_some());
    replay.report.pairs = (replay.first.len() + hidden) as u64;
    let states: FxHashSet<&ServerState> = replay.nodes.iter().map(|node| &node.model).collect();
    replay.report.states = states.len() as u64;
    Ok(replay.report)
}

impl Replay<'_> {
    fn arrive(
        &mut self,
        model: ServerState,
        implementation: Implementation,
        arrival: Option<(usize, Vec<Input>)>,
    ) {
        if self.seen.insert((model.clone(), implementation.clone())) {
            self.nodes.push(Node { model, implementation, arrival });
        }
    }

    /// What no server sends is turned away, whatever the state.
    fn compare_ill_formed(&mut self, node: usize) -> Result<(), Box<Divergence>> {
        let to = self.nodes[node].model.id;
        let peer = ServerId(self.atlas.scope().servers + 1);
        for (input, rejection) in ill_formed(to, peer) {
            let expected = Reaction::Rejected(rejection);
            let before = &self.nodes[node].implementation;
            let mut implementation = before.clone();
            let found = react(&mut implementation, before, &input);
            self.report.rejected += 1;
            if !agree(&expected, &found) {
                let at = Occasion::Input(input);
                return Err(self.divergence(node, Vec::new(), at, expected, found));
            }
        }
        Ok(())
    }

    /// However little it keeps in memory, a server shows the same; and what it does not show is
    /// the same whichever way it comes to a state.
    fn compare_released(&mut self, node: usize) -> Result<(), Box<Divergence>> {
        let Node { model, implementation, .. } = &self.nodes[node];
        let released = implementation.with_memory_released();
        let found = match released.raft().broken_invariant() {
            Some(broken) => Reaction::Failed(Failure::Broken(format!("not so: {broken}"))),
            None => observed(released.raft(), Vec::new()),
        };
        let outputs = Vec::new();
        let expected = Reaction::Took { outputs, observation: Box::new(model.observe()) };
        if expected != found {
            let at = Occasion::MemoryReleased;
            return Err(self.divergence(node, Vec::new(), at, expected, found));
        }
        if let Some((first, shown_before)) = self.first.get(model) {
            if *shown_before != released {
                let paths = [self.path_to(*first), self.path_to(node)];
                let hidden = HiddenState::between(model.id, paths, shown_before, &released);
                self.report.hidden = Some(hidden);
            }
        } else {
            self.first.insert(model.clone(), (node, released));
        }
        Ok(())
    }

    /// Lets everything happen to a pair that can.
    fn expand(&mut self, node: usize) -> Result<(), Box<Divergence>> {
        self.compare_released(node)?;
        self.compare_ill_formed(node)?;
        let atlas = self.atlas;
        let inputs: Vec<Input> = atlas.inputs(&self.nodes[node].model).collect();
        for input in inputs {
            self.report.transitions += 1;
            let Some(turn) = atlas.turn(&self.nodes[node].model, &input) else { continue };
            let mut model = self.nodes[node].model.clone();
            let mut implementation = self.nodes[node].implementation.clone();
            let mut taken = Vec::new();
            for (input, outputs, after) in turn.steps {
                let expected = expected(&model, &input, outputs, &after);
                let goes_on = !matches!(expected, Reaction::MustReject { .. });
                let found = react(&mut implementation, &self.nodes[node].implementation, &input);
                if !agree(&expected, &found) {
                    let at = Occasion::Input(input);
                    return Err(self.divergence(node, taken, at, expected, found));
                }
                if !goes_on {
                    self.report.rejected += 1;
                    break;
                }
                if let Some(failure) = implementation.difference_in_sessions(&after) {
                    let at = Occasion::Input(input);
                    let found = Reaction::Failed(failure);
                    return Err(self.divergence(node, taken, at, expected, found));
                }
                taken.push(input);
                model = after;
                self.compare_crashes(node, &taken, &model, &implementation)?;
            }
            if atlas.contains(&model) {
                self.arrive(model, implementation, Some((node, taken)));
            }
        }
        Ok(())
    }

    /// L11: whatever disk a crash leaves, both recover to the same.
    fn compare_crashes(
        &mut self,
        node: usize,
        taken: &[Input],
        model: &ServerState,
        implementation: &Implementation,
    ) -> Result<(), Box<Divergence>> {
        if !self.crashed.insert((model.clone(), implementation.clone())) {
            return Ok(());
        }
        for (done, torn, disk) in implementation.disks_after_crash() {
            self.report.crashes += 1;
            let after = self.recovered(model, done, torn);
            let outputs = Vec::new();
            let expected = Reaction::Took { outputs, observation: Box::new(after.observe()) };
            let mut config = config(self.atlas.scope(), model.id, self.memory);
            config.incarnation = model.incarnation;
            let found = match Implementation::recover(config, disk) {
                Ok(recovered) => {
                    let recovered = recovered.with_sessions_of(self.atlas.scope());
                    match recovered.difference_in_sessions(&after) {
                        Some(failure) => Reaction::Failed(failure),
                        None => observed(recovered.raft(), Vec::new()),
                    }
                }
                Err(error) => Reaction::Failed(Failure::Broken(error.to_string())),
            };
            if expected != found {
                let path = completions(model, done);
                let taken = taken.iter().cloned().chain(path).collect();
                let at = Occasion::Input(Input::Restart { torn });
                return Err(self.divergence(node, taken, at, expected, found));
            }
        }
        Ok(())
    }

    /// The model's server after a crash with the first writes done and the next lost or torn.
    fn recovered(&self, model: &ServerState, done: usize, torn: Option<u64>) -> ServerState {
        let mut disk = model.disk.clone();
        for write in model.writes.iter().take(done) {
            write.carry_out(&mut disk);
        }
        if let (Some(written), Some(write)) = (torn, model.writes.get(done)) {
            write.tear(written, &mut disk);
        }
        match self.atlas.server(model.id) {
            Some(server) => server.recover(disk, model.incarnation),
            None => model.clone(), // Every state is of a server of the scope.
        }
    }

    fn divergence(
        &self,
        node: usize,
        taken: Vec<Input>,
        at: Occasion,
        expected: Reaction,
        found: Reaction,
    ) -> Box<Divergence> {
        let mut path = self.path_to(node);
        path.extend(taken);
        let server = self.nodes[node].model.id;
        Box::new(Divergence { server, path, at, expected, found })
    }

    /// The inputs that led to a pair from the server's first start.
    fn path_to(&self, node: usize) -> Vec<Input> {
        let mut path = Vec::new();
        let mut at = node;
        while let Some((from, inputs)) = &self.nodes[at].arrival {
            path.push(inputs.clone());
            at = *from;
        }
        path.reverse();
        path.concat()
    }
}

/// What the implementation must do.
fn expected(
    before: &ServerState,
    input: &Input,
    outputs: Vec<Output>,
    after: &ServerState,
) -> Reaction {
    let reasons = reasons_to_reject(before, input);
    if !reasons.is_empty() {
        return Reaction::MustReject { reasons };
    }
    Reaction::Took { outputs, observation: Box::new(after.observe()) }
}

/// What the implementation does. What it turns away must leave it as it was.
fn react(implementation: &mut Implementation, before: &Implementation, input: &Input) -> Reaction {
    match implementation.step(input) {
        Ok(outputs) => match implementation.raft().broken_invariant() {
            Some(broken) => Reaction::Failed(Failure::Broken(format!("not so: {broken}"))),
            None => observed(implementation.raft(), outputs),
        },
        Err(Failure::Rejected(rejection)) if implementation != before => {
            let why = format!("turns it away ({rejection}), but has changed all the same");
            Reaction::Failed(Failure::Broken(why))
        }
        Err(failure) => Reaction::Failed(failure),
    }
}

fn completions(model: &ServerState, done: usize) -> impl Iterator<Item = Input> + '_ {
    model.writes.iter().take(done).map(|write| write.completion(model.incarnation))
}
