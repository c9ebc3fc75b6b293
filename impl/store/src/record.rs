//! Records: what the log consists of, and how they are laid out in bytes.
//!
//! A record is a byte that says which it is, and then its parts in the order of their declaration, as
//! [`crate::encoding`] has them.

use crate::encoding::{Reader, entries, length, number, position, short, snapshot};
use crate::log_state::{LogState, OwnSnapshot, ReceivedPart};
use kontiki::storage::HardState;
use kontiki::{Entries, LogIndex, LogPosition, ServerId, Term};

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
                entries(to, all);
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
            HARD_STATE => Record::HardState(read_hard_state(from)?),
            ENTRIES => Record::Entries(from.entries().filter(|entries| !entries.is_empty())?),
            LET_GO => Record::LetGo(from.position()?),
            RESET => Record::Reset(from.position()?),
            RECEIVED => Record::Received(read_received(from)?),
            INSTALLED => Record::Installed(read_own(from)?),
            KEPT => Record::Kept(read_own(from)?),
            STATE => Record::State(Box::new(read_log_state(from)?)),
            _ => return None,
        })
    }
}

fn hard_state(to: &mut Vec<u8>, HardState { term, vote }: &HardState) {
    number(to, term.0);
    to.push(u8::from(vote.is_some()));
    number(to, vote.map_or(0, |vote| vote.0));
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

fn read_hard_state(from: &mut Reader<'_>) -> Option<HardState> {
    let term = Term(from.number()?);
    let voted = from.flag()?;
    let vote = ServerId(from.number()?);
    Some(HardState { term, vote: voted.then_some(vote) })
}

fn read_own(from: &mut Reader<'_>) -> Option<OwnSnapshot> {
    let (file, footer_sum) = (from.number()?, from.short()?);
    Some(OwnSnapshot { file, footer_sum, snapshot: from.snapshot()? })
}

fn read_received(from: &mut Reader<'_>) -> Option<ReceivedPart> {
    let (file, bytes, sum) = (from.number()?, from.number()?, from.short()?);
    Some(ReceivedPart { file, bytes, sum, snapshot: from.snapshot()? })
}

fn read_log_state(from: &mut Reader<'_>) -> Option<LogState> {
    Some(LogState {
        starts: from.number()?,
        hard_state: read_hard_state(from)?,
        base: from.position()?,
        last_index: LogIndex(from.number()?),
        runs: from.list(16, Reader::position)?,
        configurations: from.list(8, |from| from.number().map(LogIndex))?,
        own: if from.flag()? { Some(read_own(from)?) } else { None },
        receiving: if from.flag()? { Some(read_received(from)?) } else { None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::encoded_bytes;
    use bytes::Bytes;
    use kontiki::{Configuration, Entry, Payload, Snapshot, SnapshotId};

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
                crate::encoding::entries(&mut bytes, &entries);
                assert_eq!(entries.iter().map(encoded_bytes).sum::<usize>() + 12, bytes.len());
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
