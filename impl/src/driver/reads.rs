//! Reads that wait (rules C3, C5).
//!
//! A linearizable read goes through three steps. All reads of one burst get one number. The server is asked
//! under that number, and names the read index. When the state machine has executed so much, the reads are
//! served. A session read begins at the last step, with the index that its client carries.

use super::clients::Answer;
use super::clock::Earliest;
use super::{Consistency, Driver, Instant, Observer, Outcome, Reason, Ticket};
use crate::storage::LogStore;
use kontiki_specs::{Input, LogIndex, ReadId, Refusal, RoleKind};
use std::collections::BTreeMap;
use std::mem;

/// The lower bits of a read's number count the reads of one start; the incarnation is above them. So no
/// two reads of a server have the same number, restarts included (rule C5).
const COUNTER_BITS: u32 = 40;
/// As long as so many numbers wait for the leader's answer, further reads gather at a follower.
const NUMBERS_AT_FOLLOWER: usize = 64;
/// At a leader, reads gather while a round is under way. Whatever comes until its end shares the next one.
const NUMBERS_AT_LEADER: usize = 1;

/// The reads that wait at a server.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    /// The incarnation, in its place.
    prefix: u64,
    /// How many numbers were used.
    counter: u64,
    /// They will be asked for under the next number.
    gathered: Vec<Reader>,
    /// They are asked for.
    asked: Vec<Asked>,
    /// They may be served when the state machine has executed so much.
    ready: BTreeMap<LogIndex, Vec<Reader>>,
    /// How many wait.
    waiting: u64,
    /// There is a new leader, who is to be asked what the last one may not answer any more.
    pub(super) leader_is_new: bool,
    earliest: Earliest,
}

#[derive(Clone, Copy, Debug)]
struct Reader {
    ticket: Ticket,
    deadline: Instant,
}

/// Reads that are asked for under one number.
#[derive(Clone, Debug)]
struct Asked {
    number: ReadId,
    /// Whether the server led when it was asked last: a leader answers or refuses, and is not asked
    /// again.
    of_leader: bool,
    again_at: Instant,
    readers: Vec<Reader>,
}

impl Reads {
    /// Of a server that starts. The incarnation has been looked at: it has no more than 24 bits.
    pub(super) fn new(incarnation: u64) -> Reads {
        Reads {
            prefix: incarnation << COUNTER_BITS,
            counter: 0,
            gathered: Vec::new(),
            asked: Vec::new(),
            ready: BTreeMap::new(),
            waiting: 0,
            leader_is_new: false,
            earliest: Earliest::default(),
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// When a deadline may pass, or the server is to be asked again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let again = self.asked.iter().filter(|asked| !asked.of_leader).map(|asked| asked.again_at);
        again.chain(self.earliest.get()).min()
    }

    fn add(&mut self, reader: Reader) -> Reader {
        self.waiting += 1;
        self.earliest.note(reader.deadline);
        reader
    }

    fn next_number(&mut self) -> Option<ReadId> {
        self.counter += 1;
        (self.counter >> COUNTER_BITS == 0).then_some(ReadId(self.prefix | self.counter))
    }

    /// Takes out what waits under a number. Nothing does if it was answered before.
    fn take_asked(&mut self, number: ReadId) -> Vec<Reader> {
        let place = self.asked.iter().position(|asked| asked.number == number);
        place.map_or_else(Vec::new, |place| self.asked.remove(place).readers)
    }

    /// The next number to ask for again, with a time at which to do so once more.
    fn take_overdue(&mut self, now: Instant, again_at: Instant, leads: bool) -> Option<ReadId> {
        let overdue = |asked: &&mut Asked| !asked.of_leader && asked.again_at <= now;
        let asked = self.asked.iter_mut().find(overdue)?;
        (asked.again_at, asked.of_leader) = (again_at, leads);
        Some(asked.number)
    }

    /// Those that may be served now.
    fn take_executed(&mut self, executed: LogIndex) -> Vec<Reader> {
        let mut served = Vec::new();
        while let Some(first) = self.ready.first_entry()
            && *first.key() <= executed
        {
            served.append(&mut first.remove());
        }
        self.waiting -= served.len() as u64;
        served
    }

    /// Those whose deadline has passed. A read changes nothing: it certainly has not been served.
    fn expired(&mut self, now: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        if !self.earliest.take_passed(now) {
            return answers;
        }
        let Reads { gathered, asked, ready, earliest, .. } = self;
        let mut stays = |reader: &Reader| {
            let stays = reader.deadline > now;
            if stays {
                earliest.note(reader.deadline);
            } else {
                answers.push((reader.ticket, Outcome::Refused(Reason::DeadlinePassed)));
            }
            stays
        };
        gathered.retain(&mut stays);
        asked.iter_mut().for_each(|asked| asked.readers.retain(&mut stays));
        ready.values_mut().for_each(|readers| readers.retain(&mut stays));
        asked.retain(|asked| !asked.readers.is_empty());
        ready.retain(|_, readers| !readers.is_empty());
        self.waiting -= answers.len() as u64;
        answers
    }

    /// The server has stopped, or takes no more requests.
    pub(super) fn stopped(&mut self) -> Vec<Answer> {
        let asked = mem::take(&mut self.asked).into_iter().flat_map(|asked| asked.readers);
        let ready = mem::take(&mut self.ready).into_values().flatten();
        self.waiting = 0;
        let all = self.gathered.drain(..).chain(asked).chain(ready);
        all.map(|reader| (reader.ticket, Outcome::Refused(Reason::Stopping))).collect()
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// A client asks to read.
    pub(super) fn read(&mut self, ticket: Ticket, consistency: Consistency, deadline: Instant) {
        let executed = self.machine.executed;
        if let Err(outcome) = self.takes_requests() {
            return self.answer(ticket, outcome);
        }
        let at_least = match consistency {
            Consistency::Stale => Some(LogIndex::ZERO),
            Consistency::AtLeast(index) => Some(index),
            Consistency::Linearizable => None,
        };
        if at_least.is_some_and(|index| index <= executed) {
            self.counters.weaker_reads += 1;
            return self.answer(ticket, Outcome::Readable { index: executed });
        }
        let limit = self.config.limits.waiting_reads;
        if self.reads.waiting >= limit {
            let reason = Reason::TooManyWaiting { limit };
            return self.answer(ticket, Outcome::Refused(reason));
        }
        let reader = self.reads.add(Reader { ticket, deadline });
        match at_least {
            Some(index) => self.reads.ready.entry(index).or_default().push(reader),
            None => self.reads.gathered.push(reader),
        }
    }

    /// Asks for what has gathered under one number: all of it has come before. And asks a new leader for
    /// what the last one may have left unanswered.
    pub(super) fn ask_for_reads(&mut self) {
        if mem::take(&mut self.reads.leader_is_new) {
            let now = self.now;
            self.reads.asked.iter_mut().for_each(|asked| asked.again_at = asked.again_at.min(now));
            self.ask_again();
        }
        let leads = self.raft.role() == RoleKind::Leader;
        let numbers = if leads { NUMBERS_AT_LEADER } else { NUMBERS_AT_FOLLOWER };
        if self.reads.gathered.is_empty() || self.reads.asked.len() >= numbers {
            return;
        }
        let readers = mem::take(&mut self.reads.gathered);
        let Some(number) = self.reads.next_number() else {
            return self.refuse_readers(readers, &Outcome::Refused(Reason::ReadNumbersExhausted));
        };
        let again_at = self.now.plus(self.config.timings.read_again);
        self.counters.read_numbers += 1;
        self.reads.asked.push(Asked { number, of_leader: leads, again_at, readers });
        self.step(Input::Read { read: number });
    }

    /// C5: question and answer may have been lost. A server that knows of no leader would refuse, and
    /// waits: the next leader will be asked.
    pub(super) fn ask_again(&mut self) {
        let again_at = self.now.plus(self.config.timings.read_again);
        let leads = self.raft.role() == RoleKind::Leader;
        let knows_leader = self.raft.leader().is_some();
        while let Some(number) = self.reads.take_overdue(self.now, again_at, leads && knows_leader)
        {
            if knows_leader {
                self.counters.reads_asked_again += 1;
                self.step(Input::Read { read: number });
            }
        }
    }

    /// The read index is known.
    pub(super) fn read_ready(&mut self, number: ReadId, index: LogIndex) {
        let mut readers = self.reads.take_asked(number);
        if !readers.is_empty() {
            self.reads.ready.entry(index).or_default().append(&mut readers);
            self.serve_executed();
        }
    }

    /// The server has refused.
    pub(super) fn read_refused(&mut self, number: ReadId, refusal: Refusal) {
        let readers = self.reads.take_asked(number);
        self.refuse_readers(readers, &Outcome::from(refusal));
    }

    fn refuse_readers(&mut self, readers: Vec<Reader>, outcome: &Outcome) {
        self.reads.waiting -= readers.len() as u64;
        for reader in readers {
            self.answer(reader.ticket, outcome.clone());
        }
    }

    /// Serves what the state machine has executed enough for.
    pub(super) fn serve_executed(&mut self) {
        let index = self.machine.executed;
        for reader in self.reads.take_executed(index) {
            self.answer(reader.ticket, Outcome::Readable { index });
        }
    }

    /// Tells those whose deadline has passed.
    pub(super) fn expire_reads(&mut self) {
        let answers = self.reads.expired(self.now);
        self.answer_all(answers);
        self.ask_again();
    }
}
