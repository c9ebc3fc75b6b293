//! The model's server beside one recorded server.

use super::files::open;
use super::judge::Judge;
use super::restart::restarted;
use super::{Fault, Place, RunFault, limits, start};
use crate::divergence::{Divergence, Occasion, Reaction};
use crate::implementation::{Failure, join_applied};
use crate::nonsense::{Nonsense, reasons_to_reject};
use kontiki::core::StepError;
use kontiki_model::console::grouped;
use kontiki_model::server::{RaftServer, ServerState};
use kontiki_specs::recording::{
    Checkpoint, End, Recorded, RecordedReaction, RecordedRules, RecordedStep, RecordingHeader,
};
use kontiki_specs::{Input, LogIndex, Output, RoleKind, RoleObservation, ServerId};
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

/// How many steps before a difference are told.
const TOLD: usize = 12;
/// After how many steps the model forgets what no rule looks at any more.
const STEPS_BETWEEN_FORGETTING: u64 = 256;

/// What was followed of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// How many steps, without those at which its store failed.
    pub steps: u64,
    /// How many files.
    pub files: u64,
    /// How often the server started, as far as the files tell.
    pub starts: u64,
    /// How many of these starts came back with what the end of the last could leave on disk.
    pub restarts_judged: u64,
    /// How many files ended without an end: the process was killed, or goes on.
    pub torn: u64,
    /// How many inputs the server turned away, as it must. In an honest cluster there are none.
    pub turned_away: u64,
    /// How many requests it refused because of limits that the model does not have.
    pub refused_by_limits: u64,
    /// How often it was elected.
    pub elected: u64,
    /// How many snapshots of its own it has taken.
    pub snapshots_taken: u64,
    /// How many snapshots of others it has installed.
    pub snapshots_installed: u64,
    /// How many reads it was told that it may serve.
    pub reads: u64,
    /// How many of these as a leader with a lease, in the step in which it was asked (rule C4).
    pub lease_reads: u64,
    /// In how many of these starts its store failed: nothing that came after can be judged.
    pub store_failures: u64,
    /// Whether the recording is there from the first start of the server, without a gap.
    pub is_complete: bool,
}

/// Follows the files of a server one after the other.
pub(super) struct Follower {
    id: ServerId,
    /// The model's server, once a file was begun.
    server: Option<(RaftServer, RecordedRules)>,
    state: Option<ServerState>,
    /// Where the last file ended.
    last: Option<(RecordingHeader, End)>,
    incarnation: u64,
    step: u64,
    /// The step at which the store failed, if it has in this start.
    failed_at: Option<u64>,
    /// The last inputs.
    recent: VecDeque<Input>,
    path: PathBuf,
    line: u64,
    followed: Followed,
}

impl Follower {
    pub(super) fn new(id: ServerId) -> Follower {
        Follower {
            id,
            server: None,
            state: None,
            last: None,
            incarnation: 0,
            step: 0,
            failed_at: None,
            recent: VecDeque::with_capacity(TOLD + 1),
            path: PathBuf::new(),
            line: 0,
            followed: Followed { is_complete: true, ..Followed::default() },
        }
    }

    pub(super) fn into_followed(self) -> Followed {
        self.followed
    }

    /// Follows the next file.
    pub(super) fn follow(&mut self, file: &Path, judge: &mut Judge) -> Result<(), Box<RunFault>> {
        let unreadable = |error| Box::new(RunFault::Unreadable(error));
        let in_file = |error: kontiki_specs::recording::RecordingError| error.in_file(file);
        self.path = file.to_path_buf();
        self.followed.files += 1;
        let mut reader = open(file).map_err(unreadable)?;
        let header = reader.header().cloned();
        loop {
            let recorded = reader.read().map_err(in_file).map_err(unreadable)?;
            self.line = reader.line();
            let followed = match (recorded, &header) {
                (Recorded::Checkpoint(begins), Some(header)) => self.begin(header, &begins),
                (Recorded::Step(step), _) => self.take(*step, judge),
                (Recorded::End(end), _) => {
                    let ended = self.end(header, end);
                    return ended.map_err(|fault| self.at_this_place(fault));
                }
                (Recorded::Checkpoint(_), None) => Ok(()), // There is none without a header.
            };
            followed.map_err(|fault| self.at_this_place(fault))?;
        }
    }

    fn at_this_place(&self, fault: Fault) -> Box<RunFault> {
        Box::new(RunFault::At { place: self.place(), fault })
    }

    fn place(&self) -> Place {
        let (file, line, server) = (self.path.clone(), self.line, self.id);
        let (incarnation, step) = (self.incarnation, self.step);
        Place { file, line, server, incarnation, step }
    }

    fn end(&mut self, header: Option<RecordingHeader>, end: End) -> Result<(), Fault> {
        if let (End::Full, Some(step)) = (end, self.failed_at) {
            return Err(Fault::GoesOn { step });
        }
        self.followed.torn += u64::from(end == End::Torn);
        match (header, &mut self.last) {
            (Some(header), last) => *last = Some((header, end)),
            // The process was killed before it could write a header.
            (None, Some((before, end))) => {
                before.file += 1;
                *end = End::Torn;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// A file begins, with this state.
    fn begin(&mut self, header: &RecordingHeader, begins: &Checkpoint) -> Result<(), Fault> {
        let server = start::server(self.id, &header.rules);
        let found = begins.observation.incarnation;
        if found != header.incarnation {
            let how = format!("it is of start {found}, and the header says {}", header.incarnation);
            return Err(Fault::Impossible { how });
        }
        self.incarnation = found;
        let before = self.last.clone().zip(self.state.take());
        let starts = header.after_step == 0;
        if starts {
            self.followed.starts += 1;
            start::check_start(begins).map_err(|how| Fault::Impossible { how })?;
        }
        let state = match before {
            None if starts => {
                self.followed.is_complete &= header.file == 1;
                self.first_start(&server, begins)?
            }
            None => {
                self.followed.is_complete = false;
                checked(start::state(&server, begins), begins)?
            }
            Some(((last, end), state)) => {
                self.check_order(header, &last, end)?;
                match starts {
                    true => self.starts_again(&server, header, &last, state, begins)?,
                    false => goes_on(state, begins)?,
                }
            }
        };
        if starts {
            self.recent.clear();
            self.failed_at = None;
        }
        self.step = header.after_step;
        self.state = Some(state);
        self.server = Some((server, header.rules.clone()));
        Ok(())
    }

    fn first_start(&self, server: &RaftServer, begins: &Checkpoint) -> Result<ServerState, Fault> {
        let disk = start::disk(begins).map_err(|how| Fault::Impossible { how })?;
        let incarnation = begins.observation.incarnation;
        checked(Ok(server.recover(disk, incarnation)), begins)
    }

    /// The server starts again. What it has on disk is judged by how the last start ended.
    fn starts_again(
        &mut self,
        server: &RaftServer,
        header: &RecordingHeader,
        last: &RecordingHeader,
        crashed: ServerState,
        begins: &Checkpoint,
    ) -> Result<ServerState, Fault> {
        match restarted(server, &crashed, begins) {
            Ok(state) => {
                self.followed.restarts_judged += 1;
                Ok(state)
            }
            // There were starts in between of which nothing was recorded.
            Err(_) if header.incarnation > last.incarnation.saturating_add(1) => {
                self.followed.is_complete = false;
                self.first_start(server, begins)
            }
            Err(expected) => Err(Fault::Restart {
                outstanding: crashed.writes.len(),
                expected: Box::new(shown(&expected, LogIndex::ZERO)),
                found: Box::new(found(begins)),
            }),
        }
    }

    fn check_order(
        &self,
        header: &RecordingHeader,
        last: &RecordingHeader,
        end: End,
    ) -> Result<(), Fault> {
        let disconnected = |how: String| Err(Fault::Disconnected { how });
        if header.file != last.file + 1 {
            return disconnected(format!("file {} follows file {}", header.file, last.file));
        }
        if header.after_step == 0 {
            return match header.incarnation > last.incarnation && end != End::Full {
                true => Ok(()),
                false => disconnected(format!(
                    "start {} follows start {}, whose file is {}",
                    header.incarnation,
                    last.incarnation,
                    if end == End::Full { "to be gone on with" } else { "at its end" }
                )),
            };
        }
        let goes_on = end == End::Full
            && header.incarnation == last.incarnation
            && header.rules == last.rules
            && header.after_step == self.step;
        match goes_on {
            true => Ok(()),
            false => disconnected(format!(
                "it goes on in start {} after step {}",
                header.incarnation, header.after_step
            )),
        }
    }

    fn take(&mut self, recorded: RecordedStep, judge: &mut Judge) -> Result<(), Fault> {
        let RecordedStep { step, input, reaction } = recorded;
        self.step = step;
        let (Some((server, rules)), Some(state)) = (&self.server, self.state.take()) else {
            return Err(Fault::Impossible { how: "no state comes before the step".to_string() });
        };
        if let RecordedReaction::Failed(how) = reaction {
            self.state = Some(state); // Its outputs, if it had any, were taken back.
            return self.fails(&how);
        }
        if let Some(step) = self.failed_at {
            return Err(Fault::GoesOn { step });
        }
        self.followed.steps += 1;
        let reasons = reasons_to_reject(&state, &input);
        let (state, fault) = match reaction {
            RecordedReaction::Rejected(why) if Nonsense::says(&reasons, &state, &input, &why) => {
                self.followed.turned_away += 1;
                (state, None)
            }
            RecordedReaction::Rejected(why) if !reasons.is_empty() => {
                let found = Reaction::Failed(Failure::TurnedAway(why));
                (state, Some((Reaction::MustReject { reasons }, found)))
            }
            RecordedReaction::Rejected(why) => {
                differs(server, state, &input, Reaction::Failed(Failure::TurnedAway(why)))
            }
            RecordedReaction::Failed(_) => (state, None), // Taken care of before.
            RecordedReaction::Took { outputs, observation }
                if limits::refuses(rules, &state, &input, &outputs) =>
            {
                self.followed.refused_by_limits += 1;
                judge.hears(self.id, &input)?;
                let same = state.observe_from(state.log.last_index().next()) == *observation;
                match same {
                    true => (state, None),
                    false => {
                        let expected = shown(&state, state.log.last_index().next());
                        (state, Some((expected, Reaction::Took { outputs, observation })))
                    }
                }
            }
            RecordedReaction::Took { outputs, observation } if !reasons.is_empty() => {
                let found = Reaction::Took { outputs, observation };
                (state, Some((Reaction::MustReject { reasons }, found)))
            }
            RecordedReaction::Took { outputs, observation } => {
                let outputs = join_applied(outputs.into_iter());
                let (after, expected) = server.advance(state, &input);
                let first = first_to_compare(&expected, &after);
                let shown = after.observe_from(first);
                if expected == outputs && shown == *observation {
                    self.followed.count(&input, &outputs, &shown.role);
                    judge.sees(&after, &input, &outputs)?;
                    (after, None)
                } else {
                    let expected =
                        Reaction::Took { outputs: expected, observation: Box::new(shown) };
                    (after, Some((expected, Reaction::Took { outputs, observation })))
                }
            }
        };
        self.state = Some(state);
        if let Some((expected, found)) = fault {
            return Err(self.diverges(input, expected, found));
        }
        self.remember(input);
        Ok(())
    }

    /// The store fails, or the server says again that it has. The model's store never fails, so the model is
    /// not asked. But a server that has stopped must not go on.
    fn fails(&mut self, how: &str) -> Result<(), Fault> {
        let says_again = how == StepError::Stopped.to_string();
        match (self.failed_at, says_again) {
            (None, false) => {
                self.failed_at = Some(self.step);
                self.followed.store_failures += 1;
                Ok(())
            }
            (Some(_), true) => Ok(()),
            (None, true) => Err(Fault::NeverFailed),
            (Some(step), false) => Err(Fault::GoesOn { step }),
        }
    }

    fn diverges(&self, input: Input, expected: Reaction, found: Reaction) -> Fault {
        let first = self.step.saturating_sub(self.recent.len() as u64);
        let before = (first, self.recent.iter().cloned().collect());
        let at = Occasion::Input(input);
        let divergence =
            Box::new(Divergence { server: self.id, path: Vec::new(), at, expected, found });
        Fault::Diverges { before, divergence }
    }

    fn remember(&mut self, input: Input) {
        if self.recent.len() == TOLD {
            self.recent.pop_front();
        }
        self.recent.push_back(input);
        let Some(state) = &mut self.state else { return };
        if self.step.is_multiple_of(STEPS_BETWEEN_FORGETTING) {
            state.log.forget();
            state.disk.log.forget();
            state.forget_outcomes();
        }
    }
}

/// As `12 steps agree in 1 file; 2 starts, 1 of them after a crash ...`.
impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps in {} files", grouped(self.steps), self.files)?;
        let gaps =
            if self.is_complete { "" } else { ", earlier ones or some between are not there" };
        write!(f, "{gaps}; ")?;
        let counts = [
            (self.starts, "starts"),
            (self.restarts_judged, "restarts judged"),
            (self.torn, "files without an end"),
            (self.elected, "times elected"),
            (self.snapshots_taken, "snapshots taken"),
            (self.snapshots_installed, "snapshots installed"),
            (self.reads, "groups of reads answered"),
            (self.lease_reads, "of them by lease"),
            (self.turned_away, "inputs turned away, as they must be"),
            (self.refused_by_limits, "requests refused by limits"),
            (self.store_failures, "starts that ended as the store failed"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> =
            counts.map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
        f.write_str(&counts.join(", "))
    }
}

impl Followed {
    fn count(&mut self, input: &Input, outputs: &[Output], role: &RoleObservation) {
        let has_lease =
            matches!(role, RoleObservation::Leader { reads, .. } if reads.lease.round.is_some());
        let by_lease = has_lease && matches!(input, Input::Read { .. });
        for output in outputs {
            match output {
                Output::RoleChanged { role: RoleKind::Leader } => self.elected += 1,
                Output::TakeSnapshot { .. } => self.snapshots_taken += 1,
                Output::InstallSnapshot { .. } => self.snapshots_installed += 1,
                Output::ReadReady { .. } => {
                    self.reads += 1;
                    self.lease_reads += u64::from(by_lease);
                }
                _ => {}
            }
        }
    }
}

/// From where on a step can have changed the log.
fn first_to_compare(outputs: &[Output], after: &ServerState) -> LogIndex {
    let written = outputs.iter().find_map(|output| match output {
        Output::WriteEntries { first_index, .. } => Some(*first_index),
        _ => None,
    });
    written.unwrap_or(after.log.last_index().next())
}

/// What the model would have done, beside what was done instead.
fn differs(
    server: &RaftServer,
    state: ServerState,
    input: &Input,
    found: Reaction,
) -> (ServerState, Option<(Reaction, Reaction)>) {
    let (after, outputs) = server.advance(state, input);
    let observation = Box::new(after.observe_from(first_to_compare(&outputs, &after)));
    (after, Some((Reaction::Took { outputs, observation }, found)))
}

fn shown(state: &ServerState, first: LogIndex) -> Reaction {
    Reaction::Took { outputs: Vec::new(), observation: Box::new(state.observe_from(first)) }
}

fn found(begins: &Checkpoint) -> Reaction {
    Reaction::Took { outputs: Vec::new(), observation: Box::new(begins.observation.clone()) }
}

/// The state, if it shows what the file begins with.
fn checked(state: Result<ServerState, String>, begins: &Checkpoint) -> Result<ServerState, Fault> {
    let state = state.map_err(|how| Fault::Impossible { how })?;
    if state.observe() == begins.observation {
        return Ok(state);
    }
    let (expected, found) = (shown(&state, LogIndex::ZERO), found(begins));
    Err(Fault::OtherState { expected: Box::new(expected), found: Box::new(found) })
}

/// The model's state goes on, if it is the one that the file begins with, to the last entry.
fn goes_on(state: ServerState, begins: &Checkpoint) -> Result<ServerState, Fault> {
    let incarnation = state.incarnation;
    let writes: Vec<Input> =
        state.writes.iter().map(|write| write.completion(incarnation)).collect();
    let receiving = state.receiving.as_ref().map(|part| &part.snapshot);
    if writes != begins.writes
        || receiving != begins.receiving.as_ref()
        || state.disk.log.last_index() != begins.disk_last_index
    {
        let how = "what is on its way to disk, or from another server, is something else";
        return Err(Fault::Disconnected { how: how.to_string() });
    }
    checked(Ok(state), begins)
}
