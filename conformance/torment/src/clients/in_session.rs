//! Appends in a session (rule C2): they are asked for until there is an answer, and then once more, at another
//! time.

use super::{Client, words};
use crate::cluster::Connection;
use crate::history::Did;
use crate::server::MOST_ANSWERS;
use kontiki_node::kontiki::sessions::SessionClient;
use kontiki_node::kontiki::{LogIndex, SessionId};
use rand::Rng;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

/// How many appends a session may have whose answers the cluster still has to know.
const KEPT: usize = 40;
/// How long an answer may take. Nothing is wrong for so long.
const ANSWERED: Duration = Duration::from_secs(60);

/// What came of asking again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// How many appends were asked for again before there was an answer.
    pub without_answer: u64,
    /// How many were asked for once more, long after their answer.
    pub after_answer: u64,
    /// The longest time between the two, in microseconds.
    pub longest: u64,
    /// How many have no answer in the end.
    pub unresolved: u64,
}

impl Tries {
    /// Both together.
    pub fn add(&mut self, other: &Tries) {
        self.without_answer += other.without_answer;
        self.after_answer += other.after_answer;
        self.longest = self.longest.max(other.longest);
        self.unresolved += other.unresolved;
    }
}

/// A client's sessions.
#[derive(Default)]
pub struct Sessions {
    /// The one for almost all appends.
    usual: Option<Session>,
    /// One with a single append from the beginning, which is asked for again and again until the end.
    old: Option<Session>,
}

struct Session {
    numbers: SessionClient,
    /// Appends that have an answer, and may be asked for again: the cluster was not told to forget them.
    kept: VecDeque<Kept>,
}

#[derive(Clone)]
struct Kept {
    sequence: NonZeroU64,
    key: String,
    number: u64,
    answered: u64,
}

/// What a server has said.
enum Answer {
    Ok(u64),
    Gone(String),
}

impl Client {
    pub(super) fn append_in_session(&mut self, key: &str) -> bool {
        if self.sessions.old.is_none() {
            let session = self.append_in(None, key);
            self.sessions.old = session;
        }
        if self.random.random_bool(0.01) {
            let session = self.sessions.old.take();
            self.sessions.old = self.repeat(session, 0);
        }
        let usual = self.sessions.usual.take();
        let usual = self.append_in(usual, key);
        self.sessions.usual = self.forget_oldest(usual);
        true
    }

    /// Asks once more for all that the cluster has to know.
    pub(super) fn repeat_all(&mut self) {
        for mut session in [self.sessions.old.take(), self.sessions.usual.take()] {
            let count = session.as_ref().map_or(0, |session| session.kept.len());
            for place in 0..count {
                session = self.repeat(session, place);
            }
        }
    }

    /// Appends in this session, or in a new one. The session, as long as it is of use.
    fn append_in(&mut self, session: Option<Session>, key: &str) -> Option<Session> {
        let mut session = match session {
            Some(session) => session,
            None => self.open()?,
        };
        // There is room: fewer are kept than may be.
        let sequence = session.numbers.begin()?;
        let number = self.number();
        let kept = Kept { sequence, key: key.to_string(), number, answered: 0 };
        let line = session.line(&kept);
        let (id, start) = (session.numbers.session().0.0, self.now());
        // Some do not wait for the first answer.
        let hangs_up = self.random.random_bool(0.1);
        if hangs_up {
            self.hang_up(&line);
        }
        let answer = self.insist(&line, hangs_up);
        let end = self.now();
        match answer {
            Some(Answer::Ok(index)) => {
                self.has_seen(key, index);
                let did = Did::Append { number, index: Some(index), session: Some(id) };
                self.note(key, start, Some(end), did);
                session.kept.push_back(Kept { answered: end, ..kept });
                Some(session)
            }
            other => {
                let did = Did::Append { number, index: None, session: Some(id) };
                self.note(key, start, None, did);
                match other {
                    Some(Answer::Gone(how)) => {
                        self.note(key, start, Some(end), Did::Gone { number, how });
                    }
                    _ => self.done.tries.unresolved += 1,
                }
                None
            }
        }
    }

    /// Asks once more for what has an answer. The session, as long as it is of use.
    fn repeat(&mut self, session: Option<Session>, place: usize) -> Option<Session> {
        let session = session?;
        let kept = session.kept.get(place)?.clone();
        let start = self.now();
        let answer = self.insist(&session.line(&kept), false);
        let end = self.now();
        let Kept { key, number, answered, .. } = kept;
        match answer {
            Some(Answer::Ok(index)) => {
                self.done.tries.after_answer += 1;
                self.done.tries.longest = self.done.tries.longest.max(start - answered);
                self.note(&key, start, Some(end), Did::Repeat { number, index });
                Some(session)
            }
            Some(Answer::Gone(how)) => {
                self.note(&key, start, Some(end), Did::Gone { number, how });
                None
            }
            None => {
                self.done.tries.unresolved += 1;
                None
            }
        }
    }

    /// Where enough answers are kept, nobody waits for the oldest any more. Half of them are asked for once more
    /// before that.
    fn forget_oldest(&mut self, session: Option<Session>) -> Option<Session> {
        let mut session = session?;
        if session.kept.len() < KEPT {
            return Some(session);
        }
        if self.random.random_bool(0.5) {
            session = self.repeat(Some(session), 0)?;
        }
        if let Some(oldest) = session.kept.pop_front() {
            session.numbers.answered(oldest.sequence);
        }
        Some(session)
    }

    fn open(&mut self) -> Option<Session> {
        let Some(Answer::Ok(id)) = self.insist("open", false) else { return None };
        let numbers = SessionClient::new(SessionId(LogIndex(id)), MOST_ANSWERS);
        Some(Session { numbers, kept: VecDeque::new() })
    }

    /// Asks, and goes away.
    fn hang_up(&mut self, line: &str) {
        let port = self.ports.get(&self.leader).copied();
        let connection = port.and_then(|port| Connection::open(port, self.patience));
        if let Some(mut connection) = connection {
            // Whether it arrives is of no interest.
            let _ = connection.send(line);
        }
    }

    /// Asks one server after another until there is an answer.
    fn insist(&mut self, line: &str, was_asked: bool) -> Option<Answer> {
        let begun = Instant::now();
        let mut may_be_under_way = was_asked;
        let mut is_again = false;
        while begun.elapsed() < ANSWERED {
            let server = self.leader;
            let asked = self.ask(server, line);
            if asked.is_some() && may_be_under_way && !is_again {
                is_again = true;
                self.done.tries.without_answer += 1;
            }
            match asked.as_ref().map(|answer| answer.as_deref().map(words)) {
                Some(Some(words)) => match words.as_slice() {
                    ["ok", number] => return number.parse().ok().map(Answer::Ok),
                    ["gone", how @ ..] => return Some(Answer::Gone(how.join(" "))),
                    ["leader", leader] => self.follow(leader),
                    ["no", ..] => {}
                    _ => {
                        may_be_under_way = true;
                        self.leader = self.anybody();
                    }
                },
                Some(None) => {
                    may_be_under_way = true;
                    self.leader = self.anybody();
                }
                None => self.leader = self.anybody(),
            }
            thread::sleep(Duration::from_millis(self.random.random_range(5..30)));
        }
        None
    }
}

impl Session {
    /// As a server is asked for an append.
    fn line(&self, kept: &Kept) -> String {
        let Kept { sequence, key, number, .. } = kept;
        let (session, below) = (self.numbers.session().0.0, self.numbers.answered_below());
        format!("in {session} {sequence} {below} {key} {number}")
    }
}
