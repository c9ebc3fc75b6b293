//! What the servers replicate: lists by key, with sessions (rule C2). A command appends a number to a list, so
//! that whoever reads a list sees what was executed, how often, and in what order. Its answer is the index at
//! which it was executed.

use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::sessions::Outcome;
use kontiki_node::kontiki::{LogIndex, SessionCommand};
use kontiki_node::{SnapshotImage, StateMachine, WithSessions};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};

/// A mistake that is planted in a server, to see that the judges find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mistake {
    /// Some writes are acknowledged and never done.
    LostWrite,
    /// Every second linearizable read is answered at once from what is there.
    StaleRead,
    /// The state machines of all servers execute some commands twice.
    DoubleApply,
    /// The state machine of one server leaves some commands out.
    DifferentMachine,
    /// A server that gets its state from a snapshot has no sessions, as if snapshots were without them.
    ForgottenSession,
    /// A command of a session is executed each time that it comes.
    ForgottenAnswer,
    /// The clock of server 1 is slower than the timings of the cluster allow for.
    SlowClock,
}

/// Every how many commands a mistake is made.
pub const SOMETIMES: u64 = 40;

/// What can be asked.
pub enum Query {
    /// The list of a key.
    List(String),
    /// A fingerprint of everything, with the index of the last command.
    Digest,
}

/// The state machine of a server: lists, and the sessions of clients.
pub struct Machine {
    within: WithSessions<Lists>,
    /// The last command, whether it was executed or not.
    last: LogIndex,
    mistake: Option<Mistake>,
}

impl Machine {
    /// Without any list or session.
    pub fn new(mistake: Option<Mistake>) -> Machine {
        Machine { within: WithSessions::new(Lists::new(mistake)), last: LogIndex(0), mistake }
    }
}

impl StateMachine for Machine {
    type Answer = Outcome<LogIndex>;
    type Query = Query;
    type Reply = String;

    fn apply(&mut self, index: LogIndex, command: &Bytes) -> Outcome<LogIndex> {
        self.last = index;
        match SessionCommand::decode(command) {
            Ok(SessionCommand::InSession { command, .. })
                if self.mistake == Some(Mistake::ForgottenAnswer) =>
            {
                self.within.apply(index, &SessionCommand::Outside { command }.encode())
            }
            _ => self.within.apply(index, command),
        }
    }

    fn query(&self, query: Query) -> String {
        match query {
            Query::List(key) => self.within.query(key),
            Query::Digest => {
                let mut hasher = DefaultHasher::new();
                self.within.machine().lists.hash(&mut hasher);
                self.within.sessions().to_bytes().hash(&mut hasher);
                format!("{} {:016x}", self.last, hasher.finish())
            }
        }
    }

    /// The index of the last command, and what is within.
    fn snapshot(&self) -> SnapshotImage {
        let (last, within) = (self.last.0.to_le_bytes(), self.within.snapshot());
        Box::new(move |to: &mut dyn Write| {
            to.write_all(&last)?;
            within(to)
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut last = [0; 8];
        from.read_exact(&mut last)?;
        self.within.restore(from)?;
        self.last = LogIndex(u64::from_le_bytes(last));
        if self.mistake == Some(Mistake::ForgottenSession) {
            self.within = WithSessions::new(self.within.machine().clone());
        }
        Ok(())
    }
}

/// Lists of numbers by key.
#[derive(Clone)]
struct Lists {
    lists: BTreeMap<String, Vec<u64>>,
    mistake: Option<Mistake>,
}

impl Lists {
    fn new(mistake: Option<Mistake>) -> Lists {
        Lists { lists: BTreeMap::new(), mistake }
    }

    fn times(&self, index: LogIndex) -> usize {
        let now = index.0.is_multiple_of(SOMETIMES);
        match self.mistake {
            Some(Mistake::DoubleApply) if now => 2,
            Some(Mistake::DifferentMachine) if now => 0,
            _ => 1,
        }
    }
}

impl StateMachine for Lists {
    type Answer = LogIndex;
    type Query = String;
    type Reply = String;

    /// A command is a key and a number, and perhaps spaces. Anything else does nothing.
    fn apply(&mut self, index: LogIndex, command: &Bytes) -> LogIndex {
        let text = std::str::from_utf8(command).unwrap_or_default();
        if let Some((key, number)) = text.split_once(' ')
            && let Ok(number) = number.trim_end().parse()
        {
            for _ in 0..self.times(index) {
                self.lists.entry(key.to_string()).or_default().push(number);
            }
        }
        index
    }

    fn query(&self, key: String) -> String {
        written(self.lists.get(&key).map_or(&[], Vec::as_slice))
    }

    fn snapshot(&self) -> SnapshotImage {
        let mut text = String::new();
        for (key, list) in &self.lists {
            text += &format!("{key} {}\n", written(list));
        }
        Box::new(move |to: &mut dyn Write| to.write_all(text.as_bytes()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no lists");
        let mut lists = BTreeMap::new();
        for line in text.lines() {
            let (key, list) = line.split_once(' ').ok_or_else(wrong)?;
            lists.insert(key.to_string(), read(list).ok_or_else(wrong)?);
        }
        self.lists = lists;
        Ok(())
    }
}

/// Numbers with commas between them; a dash for none.
fn written(list: &[u64]) -> String {
    let numbers: Vec<String> = list.iter().map(ToString::to_string).collect();
    if numbers.is_empty() { "-".to_string() } else { numbers.join(",") }
}

/// The numbers that [`written`] wrote.
pub fn read(list: &str) -> Option<Vec<u64>> {
    match list {
        "-" => Some(Vec::new()),
        list => list.split(',').map(|number| number.parse().ok()).collect(),
    }
}
