//! Reads (rules C3, C5): the part of a simulated server's driver that has to do with them, and the
//! clients, who judge what they are told.
//!
//! Driver and clients are kept apart: the driver knows numbers and read indices, and may be mistaken;
//! the clients know when each read began and ended.

use super::exercised::Exercised;
use super::fault::Fault;
use super::parameters::Parameters;
use super::problem::Invariant;
use super::state_machine::Content;
use kontiki_specs::{Input, LogIndex, Output, ReadId, ServerId};

/// The number of every other read at a leader. No driver should use one twice (rule C5), but rounds have
/// numbers of their own: so a leader answers rightly even then, in the order of asking.
const SAME: ReadId = ReadId(0);

/// A read of the whole simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read(u64);

/// What a driver says of a read to the client that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The state machine is read now.
    Served(Read),
    /// It is refused.
    Refused(Read),
    /// The server went down, and with it what its driver knew.
    Lost(Read),
}

/// The reads that wait at one server.
#[derive(Clone, Debug)]
pub(super) struct ReadDriver {
    waiting: Vec<Waiting>,
    /// The last number that was used. It outlives crashes (rule C5).
    last_number: u64,
    fault: Option<Fault>,
}

/// A read that waits at a server.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    read: Read,
    number: ReadId,
    /// Whether the server led when it was asked.
    of_leader: bool,
    /// The read index, when it is known.
    index: Option<LogIndex>,
}

impl ReadDriver {
    /// Of a server that starts for the first time.
    pub(super) fn new(server: ServerId, parameters: &Parameters) -> ReadDriver {
        ReadDriver { waiting: Vec::new(), last_number: 0, fault: parameters.fault_of(server) }
    }

    /// How many reads wait here, answered or not.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// How many reads wait here that can be asked again.
    pub(super) fn unanswered(&self) -> u64 {
        self.waiting.iter().filter(|waiting| waiting.is_unanswered()).count() as u64
    }

    /// A client asks. Returns the number under which the server is to be asked.
    pub(super) fn asks(&mut self, read: Read, of_leader: bool) -> ReadId {
        let same = of_leader && read.0.is_multiple_of(2);
        let number = if same { SAME } else { self.next_number() };
        self.waiting.push(Waiting { read, number, of_leader, index: None });
        number
    }

    /// No answer has come to a read, counted round among those that can be asked again. Returns the
    /// number under which the server is to be asked again: the same (rule C5), or a new one if the
    /// server leads by now. What a leader was asked is not asked again: a leader loses no question.
    pub(super) fn asks_again(&mut self, nth: u64, leads: bool) -> Option<ReadId> {
        let nth = usize::try_from(nth.checked_rem(self.unanswered())?).ok()?;
        let new_number = leads.then(|| self.next_number());
        let again = self.waiting.iter_mut().filter(|waiting| waiting.is_unanswered()).nth(nth)?;
        if let Some(number) = new_number {
            (again.number, again.of_leader) = (number, true);
        }
        Some(again.number)
    }

    fn next_number(&mut self) -> ReadId {
        self.last_number += 1;
        let number = ReadId(self.last_number);
        if self.fault != Some(Fault::UsesNumbersAgain) {
            return number;
        }
        let is_free = |number: &ReadId| self.waiting.iter().all(|other| other.number != *number);
        (1..=number.0).map(ReadId).find(is_free).unwrap_or(number)
    }

    /// What a step says of the reads that wait here. `applied` is what the state machine has come to
    /// by it.
    pub(super) fn carry_out(
        &mut self,
        input: &Input,
        outputs: &[Output],
        applied: LogIndex,
        exercised: &mut Exercised,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        if let Input::Restart { .. } = input {
            told.extend(self.waiting.drain(..).map(|waiting| Told::Lost(waiting.read)));
            exercised.reads_lost += told.len() as u64;
        }
        let waited = self.waiting.iter().filter(|waiting| waiting.index.is_some()).count() as u64;
        for output in outputs {
            match output {
                Output::ReadReady { read, index } => {
                    let known = self.unanswered_of(*read).map(|at| at.index = Some(*index));
                    exercised.answers_unawaited += u64::from(known.is_none());
                }
                Output::ReadRefused { read, .. } => told.extend(self.refuses(*read, exercised)),
                _ => {}
            }
        }
        let early = self.fault == Some(Fault::ReadsBeforeApplied);
        let mut served = 0;
        self.waiting.retain(|waiting| {
            let serves = waiting.index.is_some_and(|index| index <= applied || early);
            if serves {
                served += 1;
                let by_whom = match waiting.of_leader {
                    true => &mut exercised.reads_of_leaders,
                    false => &mut exercised.reads_of_followers,
                };
                *by_whom += 1;
                told.push(Told::Served(waiting.read));
            }
            !serves
        });
        exercised.reads_applied_later += waited.min(served);
        told
    }

    /// The read of that number which has waited longest without an answer: those of one number are
    /// answered in the order in which they came.
    fn unanswered_of(&mut self, number: ReadId) -> Option<&mut Waiting> {
        let mut waiting = self.waiting.iter_mut();
        waiting.find(|waiting| waiting.number == number && waiting.index.is_none())
    }

    /// A read is refused, if anybody waits for it.
    fn refuses(&mut self, number: ReadId, exercised: &mut Exercised) -> Option<Told> {
        let of_number = |at: &Waiting| at.number == number && at.index.is_none();
        let place = self.waiting.iter().position(of_number)?;
        exercised.reads_refused += 1;
        let read = self.waiting[place].read;
        if self.fault != Some(Fault::AnswersWhatWasRefused) {
            self.waiting.remove(place);
        }
        Some(Told::Refused(read))
    }
}

impl Waiting {
    fn is_unanswered(&self) -> bool {
        !self.of_leader && self.index.is_none()
    }
}

/// The clients of a cluster: what they have seen, and which of their reads are under way.
///
/// A read must see all that was acknowledged to anybody when it began, and all that any read had seen
/// by then. One number says both: what a read sees is committed ([`Clients::told`]), and what is
/// acknowledged is.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// The highest index that any server has known to be committed.
    committed: LogIndex,
    begun: u64,
    /// The reads that are under way, and what was committed when each began.
    open: Vec<(Read, LogIndex)>,
}

impl Clients {
    /// A server knows that so much is committed.
    pub(super) fn note_committed(&mut self, index: LogIndex) {
        self.committed = self.committed.max(index);
    }

    /// A read begins.
    pub(super) fn begins(&mut self) -> Read {
        self.begun += 1;
        let read = Read(self.begun);
        self.open.push((read, self.committed));
        read
    }

    /// A read ends, or should have ended before. `seen` is what the state machine of its server has
    /// come to, and `oracle` what any has after it has executed what was committed up to there.
    ///
    /// # Errors
    /// What the client has seen that it must not see.
    pub(super) fn told(
        &mut self,
        told: Told,
        seen: (LogIndex, Content),
        oracle: Option<Content>,
    ) -> Result<(), (Invariant, String)> {
        let (Told::Served(read) | Told::Refused(read) | Told::Lost(read)) = told;
        let place = self.open.iter().position(|(open, _)| *open == read);
        let begun = place.map(|place| self.open.swap_remove(place).1);
        if !matches!(told, Told::Served(_)) {
            return Ok(());
        }
        let (index, content) = seen;
        let Some(committed) = begun else {
            let how = format!("a read is served at {index} that has ended already");
            return Err((Invariant::ReadsEndOnce, how));
        };
        if index < committed {
            let how = format!("a read sees {index}, and {committed} was committed when it began");
            return Err((Invariant::LinearizableReads, how));
        }
        if oracle != Some(content) {
            let what = oracle.map_or("nothing".to_string(), |oracle| oracle.to_string());
            let how = format!("a read sees {content} at {index}, and {what} was committed there");
            return Err((Invariant::LinearizableReads, how));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::{Entry, Payload, Term};

    /// What a client says of a read that began when 2 entries were committed.
    fn said(told: fn(Read) -> Told, index: u64, oracle: Option<Content>) -> Option<Invariant> {
        let mut clients = Clients::default();
        clients.note_committed(LogIndex(2));
        let read = clients.begins();
        clients.note_committed(LogIndex(5));
        let seen = (LogIndex(index), Content::default());
        let broken = clients.told(told(read), seen, oracle).err();
        broken.map(|(invariant, _)| invariant)
    }

    #[test]
    fn a_read_sees_what_was_committed_and_no_less_than_when_it_began() {
        let same = Some(Content::default());
        let entry = Entry { index: LogIndex(1), term: Term(1), payload: Payload::Noop };
        let other = Some(Content::default().after(&entry, None));
        let broken = Some(Invariant::LinearizableReads);
        assert_eq!(said(Told::Served, 2, same), None);
        assert_eq!(said(Told::Served, 1, same), broken);
        assert_eq!(said(Told::Served, 2, other), broken);
        assert_eq!(said(Told::Served, 6, None), broken);
        assert_eq!(said(Told::Refused, 1, same), None);
        assert_eq!(said(Told::Lost, 1, other), None);
    }

    #[test]
    fn a_read_ends_once() {
        for ends in [Told::Served, Told::Refused, Told::Lost] {
            let mut clients = Clients::default();
            let read = clients.begins();
            let seen = (LogIndex::ZERO, Content::default());
            let mut tell = |told| clients.told(told, seen, Some(seen.1));
            assert_eq!(tell(ends(read)), Ok(()));
            let broken = tell(Told::Served(read)).unwrap_err();
            assert_eq!(broken.0, Invariant::ReadsEndOnce);
        }
    }
}
