//! What has been computed about single servers and single messages, kept for the whole run.
//!
//! A scope has millions of cluster states made of a few thousand server states. Each distinct
//! server state and message is stored once and named by a number, and each distinct transition of
//! a server is computed once. What is left to do for a cluster transition is a few look-ups.

use super::hashes::wide_hash;
use super::histories::{Commits, commits};
use super::numbers::{MessageNumber, StateNumber, next_number, place};
use super::promises::{self, Question};
use super::rank::Rank;
use super::reads::{ReadEvent, read_events};
use super::symmetry::Renaming;
use crate::environment::{Environment, Turn};
use crate::properties::{GoalSet, StepVerdict, judge_step};
use crate::server::{RaftServer, ServerState};
use kontiki_specs::{Envelope, Input, Message, ServerId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A server state with what is known about it.
pub(super) struct KnownState {
    pub(super) state: ServerState,
    /// Its hash under each renaming.
    pub(super) hashes: Vec<u128>,
    /// Whether a server has come to it, as opposed to its having been looked at only.
    pub(super) reached: bool,
    /// What may happen to it besides messages, and what comes of it; filled in when first needed.
    pub(super) events: Option<Vec<(Input, Move)>>,
}

/// A message with what is known about it.
pub(super) struct KnownMessage {
    pub(super) envelope: Envelope,
    ends: (usize, usize),
    pub(super) hashes: Vec<u128>,
    /// Whether it has been sent, as opposed to having been looked at only.
    pub(super) sent: bool,
    pub(super) rank: Rank,
}

/// A transition of one server.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) after: StateNumber,
    pub(super) sent: SmallVec<[MessageNumber; 4]>,
    pub(super) commits: Commits,
    /// What becomes of reads.
    pub(super) reads: SmallVec<[ReadEvent; 1]>,
    /// The question of a leader that it answers (rule C4).
    pub(super) confirms: Option<Question>,
    /// Whether it changes the server, sends something, serves a read, or breaks a property.
    pub(super) has_effect: bool,
    /// Whether it stays within the bounds of the scope.
    pub(super) within_bounds: bool,
    pub(super) verdict: StepVerdict,
}

/// The tables, and the servers whose transitions they hold.
pub(super) struct Tables {
    pub(super) servers: Vec<RaftServer>,
    pub(super) environment: Environment,
    pub(super) renamings: Vec<Renaming>,
    pub(super) states: Vec<KnownState>,
    state_numbers: FxHashMap<ServerState, StateNumber>,
    pub(super) messages: Vec<KnownMessage>,
    message_numbers: FxHashMap<Envelope, MessageNumber>,
    moves: Vec<Move>,
    deliveries: FxHashMap<u64, u32>,
    /// Goals reached by any state or step so far.
    pub(super) goals: GoalSet,
}

impl Tables {
    pub(super) fn new(
        servers: Vec<RaftServer>,
        environment: Environment,
        renamings: Vec<Renaming>,
    ) -> Self {
        Tables {
            servers,
            environment,
            renamings,
            states: Vec::new(),
            state_numbers: FxHashMap::default(),
            messages: Vec::new(),
            message_numbers: FxHashMap::default(),
            moves: Vec::new(),
            deliveries: FxHashMap::default(),
            goals: GoalSet::EMPTY,
        }
    }

    /// The places of a message's sender and receiver.
    pub(super) fn ends(&self, message: MessageNumber) -> (usize, usize) {
        self.messages[message as usize].ends
    }

    pub(super) fn message(&self, message: MessageNumber) -> &Message {
        &self.messages[message as usize].envelope.message
    }

    pub(super) fn rank(&self, message: MessageNumber) -> Rank {
        self.messages[message as usize].rank
    }

    pub(super) fn server(&self, id: ServerId) -> &RaftServer {
        &self.servers[place(id)]
    }

    pub(super) fn number_state(&mut self, state: &ServerState) -> StateNumber {
        if let Some(number) = self.state_numbers.get(state) {
            return *number;
        }
        let number = next_number(self.states.len());
        // Which incarnation it is makes no difference to what happens next, only that a write is
        // of the one that it is in.
        let any_incarnation = ServerState { incarnation: 0, ..state.clone() };
        let hash = |names: &Renaming| wide_hash(&names.state(&any_incarnation));
        let hashes = self.renamings.iter().map(hash).collect();
        let local = KnownState { state: state.clone(), hashes, reached: false, events: None };
        self.states.push(local);
        self.state_numbers.insert(state.clone(), number);
        number
    }

    pub(super) fn number_message(&mut self, envelope: Envelope) -> MessageNumber {
        if let Some(number) = self.message_numbers.get(&envelope) {
            return *number;
        }
        let number = next_number(self.messages.len());
        let hashes =
            self.renamings.iter().map(|names| wide_hash(&names.envelope(&envelope))).collect();
        let rank = Rank::of(&envelope.message);
        let ends = (place(envelope.from), place(envelope.to));
        self.messages.push(KnownMessage {
            envelope: envelope.clone(),
            ends,
            hashes,
            sent: false,
            rank,
        });
        self.message_numbers.insert(envelope, number);
        number
    }

    /// What a server makes of a message.
    pub(super) fn delivery(&mut self, to: StateNumber, message: MessageNumber) -> &Move {
        let key = (u64::from(to) << 32) | u64::from(message);
        let known = self.deliveries.get(&key).copied();
        let number = known.unwrap_or_else(|| {
            let Envelope { from, message, .. } = self.messages[message as usize].envelope.clone();
            let made = self.make_move(to, Input::Deliver { from, message });
            let number = next_number(self.moves.len());
            self.moves.push(made);
            self.deliveries.insert(key, number);
            number
        });
        &self.moves[number as usize]
    }

    /// Every delivery that was looked at, in an order that does not depend on the hashing.
    pub(super) fn looked_at(&self) -> Vec<(StateNumber, MessageNumber)> {
        let mut keys: Vec<u64> = self.deliveries.keys().copied().collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| ((key >> 32) as u32, (key & 0xffff_ffff) as u32)).collect()
    }

    /// What may happen to a server besides messages, and what comes of it.
    pub(super) fn events(&mut self, of: StateNumber) -> &[(Input, Move)] {
        if self.states[of as usize].events.is_none() {
            let state = &self.states[of as usize].state;
            let inputs = self.environment.events(self.server(state.id), state);
            let events = inputs
                .into_iter()
                .map(|input| (input.clone(), self.make_move(of, input)))
                .collect();
            self.states[of as usize].events = Some(events);
        }
        self.states[of as usize].events.as_deref().unwrap_or_default()
    }

    /// The steps of a transition, computed again in full for whoever wants to show or record it.
    pub(super) fn turn(&self, of: StateNumber, input: Input) -> Turn {
        let state = &self.states[of as usize].state;
        self.environment.happen(self.server(state.id), state, input)
    }

    fn make_move(&mut self, of: StateNumber, input: Input) -> Move {
        let turn = self.turn(of, input);
        let before = self.states[of as usize].state.clone();
        let verdict = judge_step(self.server(before.id), &before, &turn);
        let sent: SmallVec<_> = turn
            .outputs_after()
            .filter_map(|(output, sender)| self.environment.message(sender, output))
            .map(|(to, message)| Envelope { from: before.id, to, message })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|envelope| self.number_message(envelope))
            .collect();
        let within_bounds = self.environment.contains(turn.after());
        if within_bounds {
            self.goals.extend(verdict.goals);
        }
        let reads = read_events(self.server(before.id), &turn);
        let serves = reads.iter().any(|event| matches!(event, ReadEvent::Served(..)));
        let does_something = serves || !sent.is_empty() || !verdict.broken.is_empty();
        Move {
            after: self.number_state(turn.after()),
            has_effect: *turn.after() != before || does_something,
            reads,
            confirms: promises::confirms(self.server(before.id), &turn),
            within_bounds,
            sent,
            verdict,
            commits: commits(&before, &turn),
        }
    }
}
