//! What a message can still do to its receiver.
//!
//! Whether it changes the receiver now is found by asking the receiver's handler. Whether it may
//! change it later is found by asking the handler too, for stand-ins for every state that the
//! receiver can come to (`stand_ins`). No rule of the protocol is repeated here, so a rule that is
//! broken is seen broken here too.

use super::numbers::{AnswersNumber, MessageNumber, StateNumber, next_number};
use super::stand_ins::{StandIns, returning};
use super::tables::Tables;
use crate::environment::Turn;
use crate::properties::judge_step;
use crate::server::ServerState;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, Input, Message, ServerId, Term};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// What a message can still do to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It can change the receiver, now or later.
    Alive,
    /// It can change nothing and is not answered.
    Dead,
    /// It changes nothing, but is answered with the answers of that number.
    Answered(AnswersNumber),
}

/// How a receiver answers a message that does not change it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Answers {
    /// Every answer that it may give.
    all: SmallVec<[MessageNumber; 4]>,
    /// The answers that each stand-in gives, in an order that is the same for every message.
    by_stand_in: Vec<SmallVec<[MessageNumber; 2]>>,
}

/// Every fate so far.
pub(super) struct Fates {
    /// The servers that changes of membership may take out and in again.
    returning: BTreeSet<ServerId>,
    fates: FxHashMap<u64, Fate>,
    answers: Vec<Answers>,
    answers_numbers: FxHashMap<Answers, AnswersNumber>,
    same_answers: FxHashMap<(AnswersNumber, AnswersNumber, StateNumber, bool), bool>,
}

impl Fates {
    pub(super) fn new(scope: &Scope) -> Self {
        Fates {
            returning: returning(scope),
            fates: FxHashMap::default(),
            answers: Vec::new(),
            answers_numbers: FxHashMap::default(),
            same_answers: FxHashMap::default(),
        }
    }

    /// What a message can still do to a receiver in this state. `crashes` says whether there may
    /// be any more.
    pub(super) fn fate(
        &mut self,
        tables: &mut Tables,
        to: StateNumber,
        message: MessageNumber,
        crashes: bool,
    ) -> Fate {
        let key = (u64::from(to) << 33) | (u64::from(message) << 1) | u64::from(crashes);
        if let Some(fate) = self.fates.get(&key) {
            return *fate;
        }
        let fate = self.find_fate(tables, to, message, crashes);
        self.fates.insert(key, fate);
        fate
    }

    fn find_fate(
        &mut self,
        tables: &mut Tables,
        to: StateNumber,
        message: MessageNumber,
        crashes: bool,
    ) -> Fate {
        let Envelope { from, message, .. } = tables.messages[message as usize].envelope.clone();
        if let Message::ReadIndexReply { .. } = message {
            return Fate::Alive; // What it does, it does outside of the server.
        }
        let state = tables.states[to as usize].state.clone();
        let stand_ins =
            StandIns::new(tables, &self.returning, from, &message).of_all(&state, crashes);
        let mut all: BTreeSet<MessageNumber> = BTreeSet::new();
        for stand_in in [state.clone()].iter().chain(&stand_ins) {
            match answers_of(tables, stand_in, from, &message) {
                Some(answers) => all.extend(answers),
                None => return Fate::Alive,
            }
        }
        if all.is_empty() {
            return Fate::Dead;
        }
        // For comparison with other messages the stand-ins must be the same for all.
        let neutral = Message::LaterTerm { term: Term::ZERO };
        let stand_ins =
            StandIns::new(tables, &self.returning, from, &neutral).of_all(&state, crashes);
        let mut by_stand_in = Vec::new();
        for stand_in in [state].iter().chain(&stand_ins) {
            match answers_of(tables, stand_in, from, &message) {
                Some(answers) => by_stand_in.push(answers),
                None => return Fate::Alive,
            }
        }
        Fate::Answered(self.number_answers(Answers { all: all.into_iter().collect(), by_stand_in }))
    }

    /// Whether any answer can still do anything to the server that asked.
    pub(super) fn any_answer_lives(
        &mut self,
        tables: &mut Tables,
        answers: AnswersNumber,
        asker: StateNumber,
        crashes: bool,
    ) -> bool {
        (0..self.answers[answers as usize].all.len()).any(|place| {
            let answer = self.answers[answers as usize].all[place];
            self.fate(tables, asker, answer, crashes) != Fate::Dead
        })
    }

    /// Whether two messages get the same answers from every stand-in, dead answers apart.
    pub(super) fn same_live_answers(
        &mut self,
        tables: &mut Tables,
        one: AnswersNumber,
        other: AnswersNumber,
        asker: StateNumber,
        crashes: bool,
    ) -> bool {
        if one == other {
            return true;
        }
        let key = (one.min(other), one.max(other), asker, crashes);
        if let Some(known) = self.same_answers.get(&key) {
            return *known;
        }
        let stand_ins = self.answers[one as usize].by_stand_in.len();
        let same = stand_ins == self.answers[other as usize].by_stand_in.len()
            && (0..stand_ins).all(|stand_in| {
                self.live_answers(tables, one, stand_in, asker, crashes)
                    == self.live_answers(tables, other, stand_in, asker, crashes)
            });
        self.same_answers.insert(key, same);
        same
    }

    fn live_answers(
        &mut self,
        tables: &mut Tables,
        answers: AnswersNumber,
        stand_in: usize,
        asker: StateNumber,
        crashes: bool,
    ) -> SmallVec<[MessageNumber; 2]> {
        let mut live = self.answers[answers as usize].by_stand_in[stand_in].clone();
        live.retain(|answer| self.fate(tables, asker, *answer, crashes) != Fate::Dead);
        live
    }

    fn number_answers(&mut self, answers: Answers) -> AnswersNumber {
        if let Some(number) = self.answers_numbers.get(&answers) {
            return *number;
        }
        let number = next_number(self.answers.len());
        self.answers.push(answers.clone());
        self.answers_numbers.insert(answers, number);
        number
    }
}

/// What a server in this state answers, if the message changes nothing and breaks nothing:
/// what should have made a difference and does not is no less than what does.
fn answers_of(
    tables: &mut Tables,
    state: &ServerState,
    from: ServerId,
    message: &Message,
) -> Option<SmallVec<[MessageNumber; 2]>> {
    let server = tables.server(state.id);
    let input = Input::Deliver { from, message: message.clone() };
    let (after, outputs) = server.step(state, &input);
    if after != *state {
        return None;
    }
    let turn = Turn { steps: vec![(input, outputs, after)] };
    if !judge_step(server, state, &turn).broken.is_empty() {
        return None;
    }
    let mut answers = SmallVec::new();
    for output in turn.outputs() {
        let Some((to, message)) = tables.environment.message(state, output) else { continue };
        let envelope = Envelope { from: state.id, to, message };
        answers.push(tables.number_message(envelope));
    }
    Some(answers)
}
