//! What the servers replicate: lists by key. A command appends a number to a list, so that whoever reads a
//! list sees what was executed, how often, and in what order.

use kontiki_node::kontiki::LogIndex;
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::{SnapshotImage, StateMachine};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};

/// A mistake that is planted in a server, to see that the judges find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mistake {
    /// Some writes are acknowledged and never done.
    LostWrite,
    /// Linearizable reads are answered at once from what is there.
    StaleRead,
    /// The state machines of all servers execute some commands twice.
    DoubleApply,
    /// The state machine of one server leaves some commands out.
    DifferentMachine,
}

/// Every how many commands a mistake is made.
pub const SOMETIMES: u64 = 40;

/// Lists of numbers by key.
pub struct Lists {
    lists: BTreeMap<String, Vec<u64>>,
    /// The last command that was executed.
    last: LogIndex,
    mistake: Option<Mistake>,
}

/// What can be asked.
pub enum Query {
    /// The list of a key.
    List(String),
    /// A fingerprint of everything, with the index of the last command.
    Digest,
}

impl Lists {
    /// Without any list.
    pub fn new(mistake: Option<Mistake>) -> Lists {
        Lists { lists: BTreeMap::new(), last: LogIndex(0), mistake }
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
    type Answer = ();
    type Query = Query;
    type Reply = String;

    /// A command is a key and a number. Anything else does nothing.
    fn apply(&mut self, index: LogIndex, command: &Bytes) {
        self.last = index;
        let text = std::str::from_utf8(command).unwrap_or_default();
        let Some((key, number)) = text.split_once(' ') else { return };
        let Ok(number) = number.parse() else { return };
        for _ in 0..self.times(index) {
            self.lists.entry(key.to_string()).or_default().push(number);
        }
    }

    fn query(&self, query: Query) -> String {
        match query {
            Query::List(key) => written(self.lists.get(&key).map_or(&[], Vec::as_slice)),
            Query::Digest => {
                let mut hasher = DefaultHasher::new();
                self.lists.hash(&mut hasher);
                format!("{} {:016x}", self.last, hasher.finish())
            }
        }
    }

    fn snapshot(&self) -> SnapshotImage {
        let mut text = format!("{}\n", self.last.0);
        for (key, list) in &self.lists {
            text += &format!("{key} {}\n", written(list));
        }
        Box::new(move |to: &mut dyn Write| to.write_all(text.as_bytes()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no lists");
        let mut lines = text.lines();
        let last = lines.next().and_then(|last| last.parse().ok()).ok_or_else(wrong)?;
        let mut lists = BTreeMap::new();
        for line in lines {
            let (key, list) = line.split_once(' ').ok_or_else(wrong)?;
            lists.insert(key.to_string(), read(list).ok_or_else(wrong)?);
        }
        (self.last, self.lists) = (LogIndex(last), lists);
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
