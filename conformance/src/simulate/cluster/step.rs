//! One step of one server of a simulated cluster: taken, compared with the model, and checked.

use super::{SimulatedCluster, SimulatedServer, place};
use crate::divergence::{Divergence, Occasion};
use crate::implementation::Failure;
use crate::simulate::problem::{Invariant, Problem};
use crate::simulate::taken::{Taken, heirs};
use kontiki_model::server::{Role, ServerState};
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{Input, Output, Payload, ServerId};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl SimulatedCluster {
    /// One server takes one input, if it is up, and everything is compared and checked.
    pub(super) fn step(&mut self, server: ServerId, input: Input) -> Result<(), Box<Problem>> {
        let Some(at) = place(server) else { return Ok(()) };
        if self.up(server).is_none() {
            return Ok(());
        }
        // C4: first of all the driver says what the clock says.
        let over = self.clocks.as_mut().map(|clocks| clocks.rounds_over(at)).unwrap_or_default();
        for round in over {
            self.step(server, Input::LeaseExpired { round })?;
        }
        let Some(one) = self.servers.get_mut(at).filter(|one| one.up) else { return Ok(()) };
        self.steps += 1;
        let raft = one.implementation.raft();
        let (role, transfers_to) = (raft.role(), raft.transfers_to());
        let heirs = heirs(raft);
        let before = one.shadow.state();
        let was_told = matches!(before.role, Role::Candidate { transfer: true, .. });
        let received =
            before.receiving.as_ref().map(|part| (part.snapshot.id, part.bytes.len() as u64));
        let was_taking = before.taking.is_some();
        let had_lease = has_lease(before);
        let in_round = match &before.role {
            Role::Leader { reads, .. } => reads.waiting.len(),
            _ => 0,
        };
        let reaction = one.react(server, &input)?;
        if let Some(record) = &mut self.record {
            record.extend(one.recorded(server, &input, &reaction));
        }
        let followed = one.shadow.follow(&input, &reaction, one.implementation.raft());
        let sessions = || match one.implementation.difference_in_sessions(one.shadow.state()) {
            Some(failure) => Err(Box::new(one.shadow.differs_by(failure))),
            None => Ok(()),
        };
        if let Err(difference) = followed.and_then(|()| sessions()) {
            return Err(Box::new(Problem::Divergence(Box::new(Divergence {
                server,
                path: Vec::new(),
                at: Occasion::Input(input),
                expected: difference.expected,
                found: difference.found,
            }))));
        }
        let outputs = match reaction {
            Ok(outputs) => outputs,
            Err(failure) => {
                let invariant = Invariant::HonestMessages;
                let how = format!("{server} {input}, and {failure}");
                return Err(Box::new(Problem::Broken { invariant, server, how }));
            }
        };
        let wrong_bytes = |how| {
            let invariant = Invariant::SnapshotBytes;
            Box::new(Problem::Broken { invariant, server, how })
        };
        let carried_out = one.driver.carry_out(&input, &outputs, &mut one.implementation);
        let contents = carried_out.map_err(wrong_bytes)?;
        let taken = Taken {
            place: at,
            role,
            transfers_to,
            heirs: &heirs,
            was_told,
            received,
            was_taking,
            in_round,
            had_lease,
            has_lease: has_lease(one.shadow.state()),
            input: &input,
            outputs: &outputs,
            contents: &contents,
        };
        self.exercised.note(&taken, one.implementation.raft());
        if let Some(clocks) = &mut self.clocks {
            clocks.note(at, &input, &outputs);
        }
        for output in &outputs {
            if let Output::WriteEntries { first_index, .. } = output {
                let truncates = self.invariants.would_truncate(at, *first_index);
                self.exercised.truncations += u64::from(truncates);
            }
        }
        let all = &self.servers;
        self.invariants.check(&taken, |at| all.get(at).map(|one| &one.implementation))?;
        self.tell_clients(server, at, &input, &outputs)?;
        let executes =
            |output: &Output| matches!(output, Output::Apply { .. } | Output::Restore { .. });
        if matches!(input, Input::Restart { .. }) || outputs.iter().any(executes) {
            self.judge_sessions(server, at)?;
        }
        let Some(one) = self.servers.get_mut(at) else { return Ok(()) };
        for output in outputs {
            let message = one.driver.message(output, &one.implementation);
            if let Some((to, message)) = message.map_err(wrong_bytes)? {
                self.network.send(server, to, message);
            }
        }
        Ok(())
    }

    /// C2: what the server in a place remembers of sessions, and what has become of commands, is as in the
    /// model, and as clients expect it.
    fn judge_sessions(&mut self, server: ServerId, at: usize) -> Result<(), Box<Problem>> {
        let Some(one) = self.servers.get(at) else { return Ok(()) };
        one.has_same_sessions(server)?;
        for (entry, outcome) in one.driver.became() {
            let Payload::Command(command) = &entry.payload else { continue };
            self.session_clients
                .became(entry.index, command, *outcome, &mut self.exercised)
                .map_err(|(invariant, how)| Box::new(Problem::Broken { invariant, server, how }))?;
        }
        Ok(())
    }

    /// The driver of the server in a place answers the reads that wait there, and the clients judge
    /// what they are told.
    fn tell_clients(
        &mut self,
        server: ServerId,
        at: usize,
        input: &Input,
        outputs: &[Output],
    ) -> Result<(), Box<Problem>> {
        let Some(one) = self.servers.get_mut(at) else { return Ok(()) };
        self.clients.note_committed(one.implementation.raft().commit_index());
        let seen = one.driver.executed();
        for told in one.reads.carry_out(input, outputs, seen.0, &mut self.exercised) {
            let oracle = self.invariants.content_at(seen.0);
            self.clients
                .told(told, seen, oracle)
                .map_err(|(invariant, how)| Box::new(Problem::Broken { invariant, server, how }))?;
        }
        Ok(())
    }
}

fn has_lease(state: &ServerState) -> bool {
    matches!(&state.role, Role::Leader { reads, .. } if reads.lease.round.is_some())
}

impl SimulatedServer {
    /// The implementation's reaction. It is never to panic; if it does, that is found like
    /// anything else.
    fn react(
        &mut self,
        server: ServerId,
        input: &Input,
    ) -> Result<Result<Vec<Output>, Failure>, Box<Problem>> {
        let implementation = &mut self.implementation;
        catch_unwind(AssertUnwindSafe(|| implementation.step(input))).map_err(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            let said = said.unwrap_or("nothing that can be read").to_string();
            Box::new(Problem::Panicked { server, input: Box::new(input.clone()), said })
        })
    }

    /// C2: the server's sessions are those of its shadow, and so is what has become of commands.
    fn has_same_sessions(&self, server: ServerId) -> Result<(), Box<Problem>> {
        let (found, machine) =
            (self.driver.sessions().observe(), &self.shadow.state().state_machine);
        let differs = |how| {
            let invariant = Invariant::SameSessions;
            Err(Box::new(Problem::Broken { invariant, server, how }))
        };
        if found != machine.sessions {
            let expected = &machine.sessions;
            return differs(format!("it remembers {found:?}, and the model {expected:?}"));
        }
        for (entry, outcome) in self.driver.became() {
            let expected = machine.outcomes.get(&entry.index);
            if expected.is_some_and(|expected| expected != outcome) {
                return differs(format!("{entry} is {outcome}, and in the model {expected:?}"));
            }
        }
        Ok(())
    }

    /// The step as it goes into a trace. An input that was turned away puts out nothing.
    fn recorded(
        &self,
        server: ServerId,
        input: &Input,
        reaction: &Result<Vec<Output>, Failure>,
    ) -> Option<TraceStep> {
        Some(TraceStep {
            server,
            from: None,
            input: input.clone(),
            outputs: reaction.clone().unwrap_or_default(),
            observation: self.implementation.observe().ok()?,
        })
    }
}
