//! The model's server beside the server of a driver.

use crate::consecutive::disorder;
use crate::divergence::{Divergence, Occasion};
use crate::implementation::{Failure, join_applied};
use crate::shadow::Shadow;
use crate::simulate::problem::{Invariant, Problem};
use kontiki::core::{Outputs, Raft, StepError, completion};
use kontiki::driver::Observer;
use kontiki::storage::MemoryStore;
use kontiki_model::server::Role;
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{Input, Output, ServerId};
use std::cell::RefCell;
use std::rc::Rc;

/// The steps of all servers of a cluster, in the order in which they were taken.
pub(super) type Record = Rc<RefCell<Vec<TraceStep>>>;

/// Sees every step of one server, and compares it.
#[derive(Debug)]
pub(super) struct Watcher {
    server: ServerId,
    pub(super) shadow: Shadow,
    /// All inputs since the first start, for the story of a divergence.
    path: Vec<Input>,
    /// How many steps the server has taken.
    pub(super) steps: u64,
    /// How many numbers of reads it has answered at once, by a lease (rule C4).
    pub(super) answers_by_lease: u64,
    /// The first thing that is wrong.
    pub(super) problem: Option<Box<Problem>>,
    /// Where its steps are recorded, if they are.
    pub(super) record: Option<Record>,
}

impl Watcher {
    pub(super) fn new(server: ServerId, shadow: Shadow) -> Watcher {
        Watcher {
            server,
            shadow,
            path: Vec::new(),
            steps: 0,
            answers_by_lease: 0,
            problem: None,
            record: None,
        }
    }

    /// The server went down when these writes were done of those that were under way, of which it was
    /// not told, and the next was torn. Now it has started from its disk, and is what the model's is.
    pub(super) fn restarts(
        &mut self,
        done: &[Output],
        torn: Option<u64>,
        raft: &Raft<MemoryStore>,
    ) {
        for done in done.iter().filter_map(completion) {
            // What it would have put out is lost.
            let outputs = self.shadow.takes_unnoticed(&done);
            if let Some(record) = &self.record {
                let (server, from, input) = (self.server, None, done.clone());
                let observation = self.shadow.state().observe();
                record.borrow_mut().push(TraceStep { server, from, input, outputs, observation });
            }
            self.path.push(done);
        }
        self.follow(Input::Restart { torn }, &Ok(Vec::new()), raft);
    }

    fn follow(
        &mut self,
        input: Input,
        reaction: &Result<Vec<Output>, Failure>,
        raft: &Raft<MemoryStore>,
    ) {
        self.steps += 1;
        if let (Some(record), Ok(observation)) = (&self.record, raft.observe()) {
            let (server, from, input) = (self.server, None, input.clone());
            let outputs = reaction.clone().unwrap_or_default();
            record.borrow_mut().push(TraceStep { server, from, input, outputs, observation });
        }
        if self.problem.is_some() {
            return; // What comes after it would be wrong, too.
        }
        if let Err(difference) = self.shadow.follow(&input, reaction, raft) {
            self.problem = Some(Box::new(Problem::Divergence(Box::new(Divergence {
                server: self.server,
                path: self.path.clone(),
                at: Occasion::Input(input),
                expected: difference.expected,
                found: difference.found,
            }))));
            return;
        }
        self.answers_by_lease += u64::from(answers_by_lease(&self.shadow, &input, reaction));
        if let Err(failure) = reaction {
            self.broken(Invariant::HonestMessages, format!("{input}, and it {failure}"));
        } else if let Some(wrong) = reaction.as_deref().ok().and_then(disorder) {
            self.broken(Invariant::SentFromLog, wrong);
        } else if let Some(rule) = raft.broken_invariant() {
            self.broken(Invariant::OwnInvariant, rule.to_string());
        }
        self.path.push(input);
    }

    fn broken(&mut self, invariant: Invariant, how: String) {
        let server = self.server;
        self.problem = Some(Box::new(Problem::Broken { invariant, server, how }));
    }
}

fn answers_by_lease(
    shadow: &Shadow,
    input: &Input,
    reaction: &Result<Vec<Output>, Failure>,
) -> bool {
    let has_lease = matches!(&shadow.state().role,
        Role::Leader { reads, .. } if reads.lease.round.is_some());
    let ready = |outputs: &Vec<Output>| {
        outputs.iter().any(|output| matches!(output, Output::ReadReady { .. }))
    };
    has_lease && matches!(input, Input::Read { .. }) && reaction.as_ref().is_ok_and(ready)
}

impl Observer<MemoryStore> for Watcher {
    fn stepped(
        &mut self,
        server: &Raft<MemoryStore>,
        input: Input,
        outputs: &Outputs,
        failure: Option<&StepError>,
    ) {
        let reaction = match failure {
            None => Ok(join_applied(outputs.iter().cloned())),
            Some(StepError::Rejected(rejection)) => Err(Failure::Rejected(*rejection)),
            Some(other) => Err(Failure::Broken(other.to_string())),
        };
        self.follow(input, &reaction, server);
    }
}
