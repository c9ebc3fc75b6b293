//! What has been computed about single servers and single messages, kept for the whole run.
//!
//! A scope has millions of cluster states made of a few thousand server states. Each distinct
//! server state and message is stored once and named by a number, and each distinct transition of
//! a server is computed once. What is left to do for a cluster transition is a few look-ups.

use super::fate::{Answers, Fate};
use super::symmetry::{Renaming, wide_hash};
use crate::environment::{Environment, Turn};
use crate::properties::{Committed, GoalSet, StepVerdict, judge_step};
use crate::server::{RaftServer, ServerState};
use kontiki_specs::{
    Configuration, Envelope, Input, LogIndex, MembershipChange, Message, Output, Payload, ServerId,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names a server state in the tables.
pub(super) type StateNumber = u32;
/// Names a message in the tables.
pub(super) type LetterNumber = u32;
/// Names what has been committed so far.
pub(super) type HistoryNumber = u32;

/// A server state with what is known about it.
pub(super) struct LocalState {
    pub(super) state: ServerState,
    /// Its hash under each renaming.
    pub(super) hashes: Vec<u128>,
    /// Whether a server has come to it, as opposed to its having been looked at only.
    pub(super) reached: bool,
    /// What may happen to it besides messages, and what comes of it; filled in when first needed.
    pub(super) events: Option<Vec<(Input, Move)>>,
}

/// A message with what is known about it.
pub(super) struct Letter {
    pub(super) envelope: Envelope,
    ends: (usize, usize),
    pub(super) hashes: Vec<u128>,
    /// Whether it has been sent, as opposed to having been looked at only.
    pub(super) sent: bool,
    pub(super) rank: Rank,
}

/// Orders messages between the same two servers, independently of the servers' names. Of messages
/// that do the same the first is kept: those first that a server sends first on its way to being
/// leader, so that few states differ in which of them is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    stage: u8,
    hash: u128,
}

impl Rank {
    fn of(message: &Message) -> Rank {
        let stage = match message {
            Message::RequestPreVote { .. } => 0,
            Message::RequestVote { .. } => 1,
            _ => 2,
        };
        Rank { stage, hash: wide_hash(&nameless(message)) }
    }
}

/// What has been committed, in any server's knowledge, since the start.
pub(super) struct History {
    pub(super) committed: Vec<Committed>,
    /// Its hash under each renaming.
    pub(super) hashes: Vec<u128>,
}

/// The message without the names of members, which no two messages of one place in a log differ in.
fn nameless(message: &Message) -> Message {
    let mut message = message.clone();
    if let Message::AppendEntries { entries, .. } = &mut message {
        let nameless = entries.iter().cloned().map(|mut entry| {
            if let Payload::Configuration(configuration) = &mut entry.payload {
                *configuration = Configuration::default();
            }
            entry
        });
        *entries = nameless.collect();
    }
    message
}

/// What a server has come to know as committed: up to which entry, under which configuration.
type Commits = SmallVec<[(LogIndex, Arc<Configuration>); 1]>;

/// A transition of one server.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) after: StateNumber,
    pub(super) sent: SmallVec<[LetterNumber; 4]>,
    commits: Commits,
    /// Whether it changes the server, sends something, or breaks a property.
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
    /// The servers that changes of membership may take out and in again.
    pub(super) returning: BTreeSet<ServerId>,
    pub(super) states: Vec<LocalState>,
    state_numbers: FxHashMap<ServerState, StateNumber>,
    pub(super) letters: Vec<Letter>,
    letter_numbers: FxHashMap<Envelope, LetterNumber>,
    pub(super) histories: Vec<History>,
    history_numbers: FxHashMap<Vec<Committed>, HistoryNumber>,
    moves: Vec<Move>,
    deliveries: FxHashMap<u64, u32>,
    pub(super) fates: FxHashMap<u64, Fate>,
    pub(super) answers: Vec<Answers>,
    answer_numbers: FxHashMap<Answers, u32>,
    pub(super) same_answers: FxHashMap<(u32, u32, StateNumber, bool), bool>,
    pub(super) verdicts: FxHashMap<u128, super::Verdict>,
    /// Goals reached by any state or step so far.
    pub(super) goals: GoalSet,
    pub(super) recoveries: FxHashMap<SmallVec<[StateNumber; 4]>, bool>,
}

impl Tables {
    pub(super) fn new(
        servers: Vec<RaftServer>,
        environment: Environment,
        renamings: Vec<Renaming>,
    ) -> Self {
        let ids = || servers.iter().map(|server| server.id);
        let returning = ids().filter(|id| may_return(&environment.changes, *id)).collect();
        let mut tables = Tables {
            servers,
            environment,
            renamings,
            returning,
            states: Vec::new(),
            state_numbers: FxHashMap::default(),
            letters: Vec::new(),
            letter_numbers: FxHashMap::default(),
            histories: Vec::new(),
            history_numbers: FxHashMap::default(),
            moves: Vec::new(),
            deliveries: FxHashMap::default(),
            fates: FxHashMap::default(),
            answers: Vec::new(),
            answer_numbers: FxHashMap::default(),
            same_answers: FxHashMap::default(),
            verdicts: FxHashMap::default(),
            goals: GoalSet::EMPTY,
            recoveries: FxHashMap::default(),
        };
        tables.number_history(Vec::new());
        tables
    }

    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let events = self.states.iter().map(|state| state.events.as_deref().map_or(0, <[_]>::len));
        (self.states.len(), self.letters.len(), self.moves.len() + events.sum::<usize>())
    }

    /// The places of a message's sender and receiver.
    pub(super) fn ends(&self, letter: LetterNumber) -> (usize, usize) {
        self.letters[letter as usize].ends
    }

    pub(super) fn rank(&self, letter: LetterNumber) -> Rank {
        self.letters[letter as usize].rank
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
        let local = LocalState { state: state.clone(), hashes, reached: false, events: None };
        self.states.push(local);
        self.state_numbers.insert(state.clone(), number);
        number
    }

    pub(super) fn number_letter(&mut self, envelope: Envelope) -> LetterNumber {
        if let Some(number) = self.letter_numbers.get(&envelope) {
            return *number;
        }
        let number = next_number(self.letters.len());
        let hashes =
            self.renamings.iter().map(|names| wide_hash(&names.envelope(&envelope))).collect();
        let rank = Rank::of(&envelope.message);
        let ends = (place(envelope.from), place(envelope.to));
        self.letters.push(Letter { envelope: envelope.clone(), ends, hashes, sent: false, rank });
        self.letter_numbers.insert(envelope, number);
        number
    }

    fn number_history(&mut self, committed: Vec<Committed>) -> HistoryNumber {
        if let Some(number) = self.history_numbers.get(&committed) {
            return *number;
        }
        let number = next_number(self.histories.len());
        let renamed = |names: &Renaming| {
            committed.iter().map(|known| names.committed(known)).collect::<Vec<_>>()
        };
        let hashes = self.renamings.iter().map(|names| wide_hash(&renamed(names))).collect();
        self.histories.push(History { committed: committed.clone(), hashes });
        self.history_numbers.insert(committed, number);
        number
    }

    pub(super) fn number_answers(&mut self, answers: Answers) -> u32 {
        if let Some(number) = self.answer_numbers.get(&answers) {
            return *number;
        }
        let number = next_number(self.answers.len());
        self.answers.push(answers.clone());
        self.answer_numbers.insert(answers, number);
        number
    }

    /// The history after a server's move: longer if it knows of more commits than anybody did.
    pub(super) fn extend_history(&mut self, history: HistoryNumber, made: &Move) -> HistoryNumber {
        let known = &self.histories[history as usize].committed;
        let newest = made.commits.last().map_or(0, |(index, _)| index.0);
        if newest <= known.len() as u64 {
            return history;
        }
        let state = &self.states[made.after as usize].state;
        let mut longer = known.clone();
        for (index, configuration) in &made.commits {
            let from = LogIndex(longer.len() as u64).next();
            let news = state.log.from(from).iter().take_while(|entry| entry.index <= *index);
            longer.extend(news.map(|entry| Committed {
                entry: entry.clone(),
                in_term: state.term,
                configuration: Arc::clone(configuration),
            }));
        }
        self.number_history(longer)
    }

    /// What a server makes of a message.
    pub(super) fn delivery(&mut self, to: StateNumber, letter: LetterNumber) -> &Move {
        let key = (u64::from(to) << 32) | u64::from(letter);
        let known = self.deliveries.get(&key).copied();
        let number = known.unwrap_or_else(|| {
            let Envelope { from, message, .. } = self.letters[letter as usize].envelope.clone();
            let made = self.make_move(to, Input::Deliver { from, message });
            let number = next_number(self.moves.len());
            self.moves.push(made);
            self.deliveries.insert(key, number);
            number
        });
        &self.moves[number as usize]
    }

    /// Every delivery that was looked at, in an order that does not depend on the hashing.
    pub(super) fn looked_at(&self) -> Vec<(StateNumber, LetterNumber)> {
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
            .outputs()
            .filter_map(|output| match output {
                Output::Send { to, message } => {
                    Some(Envelope { from: before.id, to: *to, message: message.clone() })
                }
                _ => None,
            })
            .map(|envelope| self.number_letter(envelope))
            .collect();
        let within_bounds = self.environment.contains(turn.after());
        if within_bounds {
            self.goals.extend(verdict.goals);
        }
        Move {
            after: self.number_state(turn.after()),
            has_effect: *turn.after() != before || !sent.is_empty() || !verdict.broken.is_empty(),
            within_bounds,
            sent,
            verdict,
            commits: commits(&before, &turn),
        }
    }
}

/// What the steps of a turn commit. The configuration that counts is the one before the step: what
/// a step appends, it appends after it has counted.
fn commits(before: &ServerState, turn: &Turn) -> Commits {
    let mut commits = Commits::new();
    let mut before = before;
    for (_, _, after) in &turn.steps {
        if after.commit_index > before.commit_index {
            commits.push((after.commit_index, Arc::clone(&before.configuration)));
        }
        before = after;
    }
    commits
}

/// Whether one change of membership may take a server out and another one in.
fn may_return(changes: &[MembershipChange], server: ServerId) -> bool {
    let takes_out = changes.iter().any(|change| match change {
        MembershipChange::Remove(removed) => *removed == server,
        MembershipChange::Replace { voters, learners } => {
            !voters.contains(&server) && !learners.contains(&server)
        }
        _ => false,
    });
    let takes_in = changes.iter().any(|change| match change {
        MembershipChange::AddLearner(added) | MembershipChange::AddVoter(added) => *added == server,
        MembershipChange::Replace { voters, learners } => {
            voters.contains(&server) || learners.contains(&server)
        }
        _ => false,
    });
    takes_out && takes_in
}

/// A server's place in a list of all servers.
pub(super) fn place(id: ServerId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX).wrapping_sub(1)
}

/// Numbers are 32 bits: memory ends long before they do.
fn next_number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
