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
/// A command of a later version of sessions is a [`StateMachine::failure`]: the server stops for good until that
/// version is installed. Bytes that are no command in any version are answered with [`Outcome::NotACommand`].
///
/// Do not hand on commands as clients have encoded them: a client could open sessions with limits of its choice,
/// or with so few in all that those of others end.
#[derive(Clone, Debug)]
pub struct WithSessions<M: StateMachine> {
    machine: M,
    sessions: Sessions<M::Answer>,
    failure: Option<String>,
}

impl<M: StateMachine> WithSessions<M> {
    /// A state machine without open sessions.
    pub const fn new(machine: M) -> Self {
        WithSessions { machine, sessions: Sessions::new(), failure: None }
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
        let WithSessions { machine, sessions, failure } = self;
        let outcome = sessions.apply(index, command, |command| machine.apply(index, command));
        if let Outcome::NotACommand(why) = outcome
            && why.is_of_later_version()
        {
            *failure = Some(format!(
                "entry {index} is of a later version of sessions ({why}): install that version here"
            ));
        }
        outcome
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone().or_else(|| self.machine.failure())
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

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki::SessionCommand;
    use kontiki::sessions::SessionClient;
    use std::num::NonZeroU64;

    /// Adds up bytes, until a command is empty.
    #[derive(Debug, Default)]
    struct Total {
        bytes: u64,
        has_failed: bool,
    }

    impl StateMachine for Total {
        type Answer = u64;
        type Query = ();
        type Reply = u64;

        fn apply(&mut self, _: LogIndex, command: &Bytes) -> u64 {
            self.has_failed |= command.is_empty();
            self.bytes += command.len() as u64;
            self.bytes
        }

        fn failure(&self) -> Option<String> {
            self.has_failed.then(|| "empty".to_owned())
        }

        fn query(&self, (): ()) -> u64 {
            self.bytes
        }

        fn snapshot(&self) -> SnapshotImage {
            let bytes = self.bytes.to_le_bytes();
            Box::new(move |to: &mut dyn Write| to.write_all(&bytes))
        }

        fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            self.bytes = u64::from_le_bytes(bytes);
            Ok(())
        }
    }

    fn outside(command: &'static str) -> Bytes {
        SessionCommand::Outside { command: command.into() }.encode()
    }

    #[test]
    fn a_command_of_a_later_version_is_a_failure_and_nonsense_is_none() {
        let mut machine = WithSessions::new(Total::default());
        for nonsense in ["", "x = 1", "\u{2}", " "] {
            let outcome = machine.apply(LogIndex(1), &nonsense.into());
            assert!(matches!(outcome, Outcome::NotACommand(_)), "{nonsense:?}: {outcome:?}");
            assert_eq!(machine.failure(), None, "{nonsense:?}");
        }
        for kind in [4, 31] {
            let mut machine = WithSessions::new(Total::default());
            machine.apply(LogIndex(7), &Bytes::copy_from_slice(&[kind, 1]));
            let failure = machine.failure().unwrap();
            assert!(failure.starts_with("entry 7 is of a later version"), "{failure}");
            machine.apply(LogIndex(8), &outside("a"));
            assert_eq!(machine.failure(), Some(failure), "it is not forgotten");
        }
    }

    #[test]
    fn that_the_machine_within_has_failed_is_passed_on() {
        let mut machine = WithSessions::new(Total::default());
        assert_eq!(machine.apply(LogIndex(1), &outside("abc")), Outcome::Executed(3));
        assert_eq!(machine.failure(), None);
        machine.apply(LogIndex(2), &outside(""));
        assert_eq!(machine.failure().as_deref(), Some("empty"));
    }

    #[test]
    fn a_restored_machine_has_the_sessions_of_the_snapshot() {
        let limit = NonZeroU64::new(3).unwrap();
        let mut machine = WithSessions::new(Total::default());
        machine.apply(LogIndex(1), &SessionClient::open(limit, limit).encode());
        machine.apply(LogIndex(2), &outside("abc"));
        let mut bytes = Vec::new();
        machine.snapshot()(&mut bytes).unwrap();
        let mut restored = WithSessions::new(Total::default());
        restored.restore(&mut &bytes[..]).unwrap();
        assert_eq!(restored.sessions(), machine.sessions());
        assert_eq!((restored.query(()), restored.sessions().len()), (3, 1));
        for end in 0..bytes.len() {
            assert!(WithSessions::new(Total::default()).restore(&mut &bytes[..end]).is_err());
        }
    }
}
