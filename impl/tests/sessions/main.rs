//! Sessions by themselves (rule C2), with any commands in the log, and with clients that keep to the
//! rules. That they do what the model does is for the conformance suite to say.

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

mod clients;
mod snapshots;

use bytes::Bytes;
use kontiki::sessions::{Outcome, Sessions};
use kontiki::{LogIndex, OpenSession, SessionCommand, SessionCommandError, SessionId};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

fn positive(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

fn open(most_sessions: u64, most_answers: u64) -> SessionCommand {
    let (most_sessions, most_answers) = (positive(most_sessions), positive(most_answers));
    SessionCommand::Open { most_sessions, most_answers }
}

fn command(session: u64, sequence: u64, answered_below: u64) -> SessionCommand {
    let (session, sequence) = (SessionId(LogIndex(session)), positive(sequence));
    let command = Bytes::from(format!("{session} {sequence}"));
    SessionCommand::InSession { session, sequence, answered_below, command }
}

fn end(session: u64) -> SessionCommand {
    SessionCommand::End { session: SessionId(LogIndex(session)) }
}

/// Small numbers, so that they meet, and now and then an absurd one.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![40 => 1_u64..6, 1 => Just(u64::MAX), 1 => any::<u64>().prop_map(|number| number.max(1))]
}

/// Any command, also of a client that keeps to no rule.
fn any_command() -> impl Strategy<Value = SessionCommand> {
    let session = || prop_oneof![9 => 1_u64..20, 1 => number()];
    prop_oneof![
        3 => (number(), number()).prop_map(|(sessions, answers)| open(sessions, answers)),
        12 => (session(), number(), number()).prop_map(|(id, at, below)| command(id, at, below)),
        1 => session().prop_map(end),
        1 => Just(SessionCommand::Outside { command: Bytes::from_static(b"outside") }),
    ]
}

/// Applies commands from index 1 on. Executing one gives its index as answer.
fn apply_all(sessions: &mut Sessions<LogIndex>, log: &[Bytes]) -> Vec<Outcome<LogIndex>> {
    let at = (1..).map(LogIndex);
    at.zip(log).map(|(index, bytes)| sessions.apply(index, bytes, |_| index)).collect()
}

fn encoded(log: &[SessionCommand]) -> Vec<Bytes> {
    log.iter().map(SessionCommand::encode).collect()
}

fn outcomes(log: &[SessionCommand]) -> Vec<Outcome<LogIndex>> {
    apply_all(&mut Sessions::new(), &encoded(log))
}

fn executed(index: u64) -> Outcome<LogIndex> {
    Outcome::Executed(LogIndex(index))
}

fn repeated(index: u64) -> Outcome<LogIndex> {
    Outcome::Repeated(LogIndex(index))
}

fn opened(index: u64) -> Outcome<LogIndex> {
    Outcome::Opened(SessionId(LogIndex(index)))
}

#[test]
fn copies_get_the_first_answer_in_any_order() {
    let log = [open(1, 3), command(1, 2, 1), command(1, 1, 1), command(1, 2, 1), command(1, 1, 1)];
    assert_eq!(outcomes(&log), [opened(1), executed(2), executed(3), repeated(2), repeated(3)]);
}

#[test]
fn what_is_not_waited_for_is_forgotten() {
    let log = [open(1, 2), command(1, 1, 1), command(1, 2, 2), command(1, 1, 1), command(1, 2, 1)];
    let forgotten = Outcome::AnswerForgotten;
    assert_eq!(outcomes(&log), [opened(1), executed(2), executed(3), forgotten, repeated(3)]);
}

#[test]
fn a_full_session_ends_with_the_command_that_is_one_too_many() {
    let log = [open(1, 1), command(1, 1, 1), command(1, 2, 1), command(1, 2, 2), command(1, 1, 1)];
    let ended = || Outcome::SessionEnded;
    assert_eq!(outcomes(&log), [opened(1), executed(2), ended(), ended(), ended()]);
}

#[test]
fn the_session_that_is_idle_for_longest_makes_room() {
    let log =
        [open(2, 1), open(2, 1), command(1, 1, 1), open(2, 1), command(2, 1, 1), end(1), end(1)];
    let [ended, asked] = [Outcome::SessionEnded, Outcome::Ended];
    let expected = [opened(1), opened(2), executed(3), opened(4), ended.clone(), asked, ended];
    assert_eq!(outcomes(&log), expected);
}

/// A limit that is lower than before makes several sessions end at once.
#[test]
fn a_lower_limit_ends_several() {
    let mut sessions = Sessions::new();
    apply_all(&mut sessions, &encoded(&[open(9, 1), open(9, 1), open(9, 1), open(2, 1)]));
    assert_eq!(sessions.len(), 2);
    assert!(sessions.is_open(SessionId(LogIndex(3))) && sessions.is_open(SessionId(LogIndex(4))));
}

#[test]
fn commands_outside_of_sessions_are_executed_each_time() {
    let outside = SessionCommand::Outside { command: Bytes::from_static(b"a") };
    assert_eq!(outcomes(&[outside.clone(), outside]), [executed(1), executed(2)]);
}

#[test]
fn what_is_open_can_be_asked() {
    let id = |index| SessionId(LogIndex(index));
    let mut sessions = Sessions::new();
    assert!(sessions.is_empty() && !sessions.is_open(id(1)));
    apply_all(&mut sessions, &encoded(&[open(9, 8), open(9, 8), command(1, 5, 3)]));
    assert!(!sessions.is_empty() && sessions.len() == 2);
    assert!(sessions.is_open(id(1)) && sessions.is_open(id(2)) && !sessions.is_open(id(3)));
    let answers = BTreeMap::from([(5, LogIndex(3))]);
    let first = OpenSession {
        most_answers: positive(8),
        answered_below: 3,
        last_command: LogIndex(3),
        answers,
    };
    assert_eq!(sessions.observe().get(&id(1)), Some(&first));
}

#[test]
fn what_is_no_command_is_executed_by_nobody() {
    let mut sessions: Sessions<LogIndex> = Sessions::new();
    let outcome = sessions.apply(LogIndex(1), &Bytes::from_static(b"x = 1"), |_| unreachable!());
    assert_eq!(outcome, Outcome::NotACommand(SessionCommandError::Kind(b'x')));
    assert!(sessions.is_empty());
}

/// What is executed is what the client sent, without the envelope.
#[test]
fn the_state_machine_gets_the_content() {
    let mut sessions: Sessions<Bytes> = Sessions::new();
    let mut apply = |index, command: SessionCommand| {
        sessions.apply(LogIndex(index), &command.encode(), Bytes::clone)
    };
    apply(1, open(1, 1));
    let content = || Bytes::from_static(b"session 1 1");
    assert_eq!(apply(2, command(1, 1, 1)), Outcome::Executed(content()));
    assert_eq!(apply(3, command(1, 1, 1)), Outcome::Repeated(content()));
}

/// Commands by session and sequence number, with their places in the log.
fn by_number(log: &[SessionCommand]) -> BTreeMap<(SessionId, NonZeroU64), Vec<usize>> {
    let mut all: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, command) in log.iter().enumerate() {
        // One that comes before its session is opened has guessed the name.
        if let SessionCommand::InSession { session, sequence, .. } = command
            && session.0.0 <= place as u64
        {
            all.entry((*session, *sequence)).or_default().push(place);
        }
    }
    all
}

proptest! {
    /// Whatever clients send, each command is executed once, and every answer is that one.
    #[test]
    fn each_is_executed_once(log in vec(any_command(), 0..60)) {
        let outcomes = outcomes(&log);
        for places in by_number(&log).into_values() {
            let mut answer = None;
            let mut is_over = false;
            for place in places {
                match &outcomes[place] {
                    Outcome::Executed(at) => {
                        prop_assert!(answer.is_none() && !is_over);
                        answer = Some(*at);
                    }
                    Outcome::Repeated(at) => prop_assert!(answer == Some(*at) && !is_over),
                    Outcome::AnswerForgotten | Outcome::SessionEnded => is_over = true,
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }

    /// Memory is bounded by the limits in the log.
    #[test]
    fn limits_hold(log in vec(any_command(), 0..60)) {
        let mut sessions: Sessions<LogIndex> = Sessions::new();
        for (index, command) in (1..).map(LogIndex).zip(&log) {
            sessions.apply(index, &command.encode(), |_| index);
            if let SessionCommand::Open { most_sessions, .. } = command {
                prop_assert!(sessions.len() as u64 <= most_sessions.get());
            }
            for session in sessions.observe().values() {
                prop_assert!(session.answers.len() as u64 <= session.most_answers.get());
                prop_assert!(session.answers.keys().all(|number| *number >= session.answered_below));
            }
        }
    }

    /// A client that lies about its sequence numbers and answers does nothing to another session, as
    /// long as all may be open.
    #[test]
    fn lies_harm_nobody_else(
        log in vec(any_command(), 0..40),
        lies in vec((number(), number()), 40),
    ) {
        let opens = [open(100, 2), open(100, 2), open(100, 2)];
        let is_open = |command: &SessionCommand| matches!(command, SessionCommand::Open { .. });
        let log = log.into_iter().filter(|command| !is_open(command));
        let honest: Vec<SessionCommand> = opens.into_iter().chain(log).collect();
        let liar = SessionId(LogIndex(1));
        let lies = honest.iter().zip(lies.iter().cycle()).map(|(one, (sequence, below))| match one {
            SessionCommand::InSession { session, .. } if *session == liar => {
                command(1, *sequence, *below)
            }
            other => other.clone(),
        });
        let lies: Vec<SessionCommand> = lies.collect();
        let both = outcomes(&honest).into_iter().zip(outcomes(&lies)).zip(&honest);
        for ((honest, lies), command) in both {
            match command {
                SessionCommand::InSession { session, .. } | SessionCommand::End { session }
                    if *session == liar => {}
                _ => prop_assert_eq!(honest, lies),
            }
        }
    }
}
