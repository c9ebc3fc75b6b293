//! Records: what the log consists of, and how they are laid out in bytes.
//!
//! Numbers are little-endian. A record is a byte that says which it is, and then its parts in the
//! order of their declaration. A list is its length and then its members.

use bytes::Bytes;
use kontiki::storage::HardState;
use kontiki::{
    Configuration, Entries, Entry, LogIndex, LogPosition, Payload, ServerId, Snapshot, SnapshotId,
    Term,
};
use std::collections::BTreeSet;

use crate::log_state::{LogState, OwnSnapshot, ReceivedPart};

/// One change of what the log amounts to. A truncation is a record too: that of the entries which
/// come in place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The store was opened, for the so many-th time.
    Start(u64),
    /// Term and vote (rule E3).
    HardState(HardState),
    /// These entries, at least one, in place of all from the first of them on (rule L11).
    Entries(Entries),
    /// Entries up to this one are let go of (rule S1).
    LetGo(LogPosition),
    /// The log is empty and goes on right behind this position.
    Reset(LogPosition),
    /// So much is there of another server's snapshot (rule S2).
    Received(ReceivedPart),
    /// The snapshot that was received is the server's own, and the log goes on behind it (rule S2).
    Installed(OwnSnapshot),
    /// The server has taken this snapshot (rule S1).
    Kept(OwnSnapshot),
    /// What all records before amount to. A segment begins with it.
    State(Box<LogState>),
}

const START: u8 = 1;
const HARD_STATE: u8 = 2;
const ENTRIES: u8 = 3;
const LET_GO: u8 = 4;
const RESET: u8 = 5;
const RECEIVED: u8 = 6;
const INSTALLED: u8 = 7;
const KEPT: u8 = 8;
const STATE: u8 = 9;

const NOOP: u8 = 1;
const COMMAND: u8 = 2;
const CONFIGURATION: u8 = 3;

/// What an entry takes on disk besides its command.
const ENTRY_BYTES: usize = 13;

/// The largest command or configuration that is written, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 1 << 30;

impl Record {
    /// Writes the record behind what is in the buffer.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Record::Start(starts) => {
                to.push(START);
                number(to, *starts);
            }
            Record::HardState(state) => {
                to.push(HARD_STATE);
                hard_state(to, state);
            }
            Record::Entries(all) => {
                to.push(ENTRIES);
                number(to, all.first_index().unwrap_or_default().0);
                length(to, all.len());
                all.iter().for_each(|one| entry(to, one));
            }
            Record::LetGo(through) => {
                to.push(LET_GO);
                position(to, *through);
            }
            Record::Reset(base) => {
                to.push(RESET);
                position(to, *base);
            }
            Record::Received(part) => {
                to.push(RECEIVED);
                received(to, part);
            }
            Record::Installed(snapshot) => {
                to.push(INSTALLED);
                own(to, snapshot);
            }
            Record::Kept(snapshot) => {
                to.push(KEPT);
                own(to, snapshot);
            }
            Record::State(state) => {
                to.push(STATE);
                log_state(to, state);
            }
        }
    }

    /// Reads the record at the beginning of what is left, and takes it off. `None` if there is none
    /// that makes sense.
    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Record> {
        Some(match from.byte()? {
            START => Record::Start(from.number()?),
            HARD_STATE => Record::HardState(from.hard_state()?),
            ENTRIES => Record::Entries(from.entries()?),
            LET_GO => Record::LetGo(from.position()?),
            RESET => Record::Reset(from.position()?),
            RECEIVED => Record::Received(from.received()?),
            INSTALLED => Record::Installed(from.own()?),
            KEPT => Record::Kept(from.own()?),
            STATE => Record::State(Box::new(from.log_state()?)),
            _ => return None,
        })
    }
}

/// What an entry takes on disk, roughly, in bytes.
pub(crate) fn encoded_bytes(entry: &Entry) -> usize {
    ENTRY_BYTES
        + match &entry.payload {
            Payload::Noop => 0,
            Payload::Command(command) => command.len(),
            Payload::Configuration(Configuration { voters, outgoing, learners }) => {
                12 + 8 * (voters.len() + outgoing.len() + learners.len())
            }
        }
}

fn number(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(&value.to_le_bytes());
}

fn short(to: &mut Vec<u8>, value: u32) {
    to.extend_from_slice(&value.to_le_bytes());
}

/// Lists that are longer than this can say are refused before (see [`MAX_PAYLOAD`]).
fn length(to: &mut Vec<u8>, value: usize) {
    short(to, u32::try_from(value).unwrap_or(u32::MAX));
}

fn position(to: &mut Vec<u8>, value: LogPosition) {
    number(to, value.index.0);
    number(to, value.term.0);
}

fn hard_state(to: &mut Vec<u8>, HardState { term, vote }: &HardState) {
    number(to, term.0);
    to.push(u8::from(vote.is_some()));
    number(to, vote.map_or(0, |vote| vote.0));
}

/// The index is not written: it follows from that of the first of the list.
fn entry(to: &mut Vec<u8>, Entry { term, index: _, payload }: &Entry) {
    number(to, term.0);
    match payload {
        Payload::Noop => {
            to.push(NOOP);
            length(to, 0);
        }
        Payload::Command(command) => {
            to.push(COMMAND);
            length(to, command.len());
            to.extend_from_slice(command);
        }
        Payload::Configuration(members) => {
            to.push(CONFIGURATION);
            let at = to.len();
            length(to, 0);
            configuration(to, members);
            let bytes = u32::try_from(to.len() - at - 4).unwrap_or(u32::MAX);
            to[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
        }
    }
}

fn configuration(to: &mut Vec<u8>, Configuration { voters, outgoing, learners }: &Configuration) {
    for servers in [voters, outgoing, learners] {
        length(to, servers.len());
        servers.iter().for_each(|server| number(to, server.0));
    }
}

fn snapshot(to: &mut Vec<u8>, snapshot: &Snapshot) {
    let Snapshot { id: SnapshotId { last, taken_by }, size, .. } = snapshot;
    position(to, *last);
    number(to, taken_by.0);
    configuration(to, &snapshot.configuration);
    position(to, snapshot.configuration_position);
    number(to, *size);
}

fn own(to: &mut Vec<u8>, OwnSnapshot { file, footer_sum, snapshot: of }: &OwnSnapshot) {
    number(to, *file);
    short(to, *footer_sum);
    snapshot(to, of);
}

fn received(to: &mut Vec<u8>, ReceivedPart { file, bytes, sum, snapshot: of }: &ReceivedPart) {
    number(to, *file);
    number(to, *bytes);
    short(to, *sum);
    snapshot(to, of);
}

fn log_state(to: &mut Vec<u8>, state: &LogState) {
    let LogState { starts, hard_state: hard, base, last_index, runs, .. } = state;
    number(to, *starts);
    hard_state(to, hard);
    position(to, *base);
    number(to, last_index.0);
    length(to, runs.len());
    runs.iter().for_each(|start| position(to, *start));
    length(to, state.configurations.len());
    state.configurations.iter().for_each(|index| number(to, index.0));
    to.push(u8::from(state.own.is_some()));
    state.own.iter().for_each(|snapshot| own(to, snapshot));
    to.push(u8::from(state.receiving.is_some()));
    state.receiving.iter().for_each(|part| received(to, part));
}

/// What is left to read. Commands are parts of the buffer and not copied.
pub(crate) struct Reader<'a> {
    all: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(all: &'a Bytes, at: usize) -> Self {
        Reader { all, at }
    }

    /// How far it has come.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.all.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Memory for as many members as there can be in what is left, and for no more.
    fn list<T>(
        &mut self,
        least_bytes: usize,
        mut member: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.short()?).ok()?;
        if count > (self.all.len() - self.at) / least_bytes {
            return None;
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(member(self)?);
        }
        Some(list)
    }

    fn position(&mut self) -> Option<LogPosition> {
        Some(LogPosition { index: LogIndex(self.number()?), term: Term(self.number()?) })
    }

    fn hard_state(&mut self) -> Option<HardState> {
        let term = Term(self.number()?);
        let voted = self.flag()?;
        let vote = ServerId(self.number()?);
        Some(HardState { term, vote: voted.then_some(vote) })
    }

    fn entries(&mut self) -> Option<Entries> {
        let mut index = LogIndex(self.number()?);
        let entries = self.list(ENTRY_BYTES, |from| {
            let entry = from.entry(index)?;
            index = LogIndex(index.0.checked_add(1)?);
            Some(entry)
        })?;
        (!entries.is_empty()).then(|| entries.into())
    }

    fn entry(&mut self, index: LogIndex) -> Option<Entry> {
        let term = Term(self.number()?);
        let kind = self.byte()?;
        let bytes = usize::try_from(self.short()?).ok()?;
        let start = self.at;
        self.take(bytes)?;
        let payload = match kind {
            NOOP if bytes == 0 => Payload::Noop,
            COMMAND => Payload::Command(self.all.slice(start..start + bytes)),
            CONFIGURATION => {
                let mut inner = Reader { all: self.all, at: start };
                let configuration = inner.configuration()?;
                if inner.at != self.at {
                    return None;
                }
                Payload::Configuration(configuration)
            }
            _ => return None,
        };
        Some(Entry { term, index, payload })
    }

    fn configuration(&mut self) -> Option<Configuration> {
        let mut servers = || -> Option<BTreeSet<ServerId>> {
            let list = self.list(8, |from| from.number().map(ServerId))?;
            Some(list.into_iter().collect())
        };
        Some(Configuration { voters: servers()?, outgoing: servers()?, learners: servers()? })
    }

    fn snapshot(&mut self) -> Option<Snapshot> {
        Some(Snapshot {
            id: SnapshotId { last: self.position()?, taken_by: ServerId(self.number()?) },
            configuration: self.configuration()?,
            configuration_position: self.position()?,
            size: self.number()?,
        })
    }

    fn own(&mut self) -> Option<OwnSnapshot> {
        let (file, footer_sum) = (self.number()?, self.short()?);
        Some(OwnSnapshot { file, footer_sum, snapshot: self.snapshot()? })
    }

    fn received(&mut self) -> Option<ReceivedPart> {
        let (file, bytes, sum) = (self.number()?, self.number()?, self.short()?);
        Some(ReceivedPart { file, bytes, sum, snapshot: self.snapshot()? })
    }

    fn log_state(&mut self) -> Option<LogState> {
        Some(LogState {
            starts: self.number()?,
            hard_state: self.hard_state()?,
            base: self.position()?,
            last_index: LogIndex(self.number()?),
            runs: self.list(16, Reader::position)?,
            configurations: self.list(8, |from| from.number().map(LogIndex))?,
            own: if self.flag()? { Some(self.own()?) } else { None },
            receiving: if self.flag()? { Some(self.received()?) } else { None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let last = LogPosition { index: LogIndex(9), term: Term(4) };
        Snapshot {
            id: SnapshotId { last, taken_by: ServerId(2) },
            configuration: Configuration::of_voters([ServerId(1), ServerId(2)]),
            configuration_position: LogPosition { index: LogIndex(1), term: Term(1) },
            size: 77,
        }
    }

    fn every_kind() -> Vec<Record> {
        let position = LogPosition { index: LogIndex(5), term: Term(3) };
        let payloads = [
            Payload::Noop,
            Payload::Command(Bytes::from_static(b"x = 1")),
            Payload::Command(Bytes::new()),
            Payload::Configuration(snapshot().configuration),
        ];
        let entries: Vec<Entry> = (10..)
            .zip(payloads)
            .map(|(index, payload)| Entry { term: Term(4), index: LogIndex(index), payload })
            .collect();
        let own = OwnSnapshot { file: 3, footer_sum: 99, snapshot: snapshot() };
        let part = ReceivedPart { file: 4, bytes: 12, sum: 98, snapshot: snapshot() };
        let state = LogState {
            starts: 2,
            hard_state: HardState { term: Term(6), vote: None },
            base: position,
            last_index: LogIndex(12),
            runs: vec![position],
            configurations: vec![LogIndex(7)],
            own: Some(own.clone()),
            receiving: Some(part.clone()),
        };
        vec![
            Record::Start(8),
            Record::HardState(HardState { term: Term(6), vote: Some(ServerId(3)) }),
            Record::Entries(entries.into()),
            Record::LetGo(position),
            Record::Reset(position),
            Record::Received(part),
            Record::Installed(own.clone()),
            Record::Kept(own),
            Record::State(Box::new(state)),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        every_kind().iter().for_each(|record| record.encode(&mut bytes));
        let bytes = Bytes::from(bytes);
        let mut reader = Reader::new(&bytes, 0);
        for record in every_kind() {
            assert_eq!(Record::decode(&mut reader), Some(record));
        }
        assert_eq!(reader.at(), bytes.len());
    }

    #[test]
    fn what_is_cut_off_is_no_record() {
        for record in every_kind() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for end in 0..bytes.len() {
                let part = Bytes::copy_from_slice(&bytes[..end]);
                assert_eq!(Record::decode(&mut Reader::new(&part, 0)), None, "{record:?}");
            }
        }
    }

    #[test]
    fn the_size_of_an_entry_is_known_before() {
        for record in every_kind() {
            if let Record::Entries(entries) = record {
                let mut bytes = Vec::new();
                entries.iter().for_each(|one| entry(&mut bytes, one));
                assert_eq!(entries.iter().map(encoded_bytes).sum::<usize>(), bytes.len());
            }
        }
    }

    proptest::proptest! {
        /// Whatever bytes there are, reading them ends, and what is read was written so.
        #[test]
        fn any_bytes_are_a_record_or_none(kind in 0..12_u8, rest: Vec<u8>) {
            let bytes = Bytes::from([vec![kind], rest].concat());
            let mut reader = Reader::new(&bytes, 0);
            if let Some(record) = Record::decode(&mut reader) {
                let mut again = Vec::new();
                record.encode(&mut again);
                let read_again = Bytes::from(again);
                let decoded = Record::decode(&mut Reader::new(&read_again, 0));
                proptest::prop_assert_eq!(decoded, Some(record));
            }
        }
    }
}
