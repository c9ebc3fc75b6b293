//! A state machine with client sessions.

use crate::machine::{SnapshotImage, StateMachine};
use kontiki::LogIndex;
use kontiki::bytes::Bytes;
use kontiki::sessions::{Answer, Outcome, Sessions};
use std::io::{self, Read, Write};

/// Adds client sessions (rule C2) to a state machine: a command of a session is executed once, however often
/// it is sent.
///
/// The commands of such a cluster are [`kontiki::SessionCommand`]s, encoded, and all of its servers run this.
/// [`crate::Client::open_session`] gives the client's side. Answers are remembered at every server, and are
/// part of snapshots. Commands are handed on one by one, by [`StateMachine::apply`].
///
/// Do not hand on commands as clients have encoded them: a client could open sessions with limits of its choice,
/// or with so few in all that those of others end.
#[derive(Clone, Debug)]
pub struct WithSessions<M: StateMachine> {
    machine: M,
    sessions: Sessions<M::Answer>,
}

impl<M: StateMachine> WithSessions<M> {
    /// A state machine without open sessions.
    pub const fn new(machine: M) -> Self {
        WithSessions { machine, sessions: Sessions::new() }
    }

    /// The state machine within.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// The sessions that are open.
    pub const fn sessions(&self) -> &Sessions<M::Answer> {
        &self.sessions
    }
}

impl<M> StateMachine for WithSessions<M>
where
    M: StateMachine,
    M::Answer: Answer + Clone,
{
    type Answer = Outcome<M::Answer>;
    type Query = M::Query;
    type Reply = M::Reply;

    fn apply(&mut self, index: LogIndex, command: &Bytes) -> Self::Answer {
        let WithSessions { machine, sessions } = self;
        sessions.apply(index, command, |command| machine.apply(index, command))
    }

    fn failure(&self) -> Option<String> {
        self.machine.failure()
    }

    fn query(&self, query: Self::Query) -> Self::Reply {
        self.machine.query(query)
    }

    /// The number of bytes of the sessions, those bytes, and then what the state machine writes.
    fn snapshot(&self) -> SnapshotImage {
        let (sessions, machine) = (self.sessions.to_bytes(), self.machine.snapshot());
        Box::new(move |to: &mut dyn Write| {
            to.write_all(&(sessions.len() as u64).to_le_bytes())?;
            to.write_all(&sessions)?;
            machine(to)
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut length = [0; 8];
        from.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let mut bytes = Vec::new();
        from.take(length).read_to_end(&mut bytes)?;
        let sessions = Sessions::from_bytes(&bytes);
        let sessions = sessions.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        self.machine.restore(from)?;
        self.sessions = sessions;
        Ok(())
    }
}
