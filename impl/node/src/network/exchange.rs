//! What servers say to each other besides Raft: who is where, who belongs to the cluster, and who wants to
//! (rule M9).

use crate::book::{self, Entries, Entry, MOST_SERVERS, Stage};
use crate::codec::{DecodeError, VERSION};
use kontiki::bytes::Bytes;
use kontiki::{Configuration, LogPosition, ServerId};
use kontiki_store::encoding::{self, Reader, length, number, position};
use std::collections::BTreeSet;

/// No frame of these is longer.
pub(crate) const MOST_BYTES: usize = MOST_SERVERS * (book::MOST_ADDRESS + 64) + (64 << 10);

/// What such a frame begins with, behind the version. No message of Raft begins so.
pub(crate) const ENTRIES: u8 = 128;
const QUESTION: u8 = 129;
const ANSWER: u8 = 130;

/// What a server asks of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// What it wants for itself.
    pub(crate) wants: Wants,
    /// Where it is itself.
    pub(crate) entries: Entries,
}

/// What a server wants for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// It only wants to know.
    Nothing,
    /// To be taken into the cluster.
    Admission,
    /// It is a learner, and wants to vote. If it is no learner any more, it was taken out.
    Vote,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) stage: Stage,
    /// The voters that formed the cluster, or are to form it.
    pub(crate) founders: BTreeSet<ServerId>,
    /// Whether whoever asks has had another disk.
    pub(crate) other_disk: bool,
    pub(crate) facts: Facts,
    /// Where servers are.
    pub(crate) entries: Entries,
}

/// What the server that answers knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Who leads.
    pub(crate) leader: Option<ServerId>,
    /// The configuration in force, if it is known to be committed.
    pub(crate) committed: Option<(LogPosition, Configuration)>,
    /// What the leader says to a server that asks to be taken in.
    pub(crate) joining: Joining,
}

/// What becomes of a server that asks to be taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Joining {
    /// This server does not lead.
    #[default]
    AskLeader,
    /// It is not a member yet. To be asked again.
    NotYet,
    /// It is a learner. To be asked again.
    Learner,
    /// It is a voter.
    Voter,
}

const WANTS: [Wants; 3] = [Wants::Nothing, Wants::Admission, Wants::Vote];
const JOINING: [Joining; 4] =
    [Joining::AskLeader, Joining::NotYet, Joining::Learner, Joining::Voter];
const STAGES: [Stage; 4] = [Stage::Forming, Stage::Joining, Stage::Admitted, Stage::Member];

fn begin(kind: u8) -> Vec<u8> {
    vec![VERSION, kind]
}

/// Which place an item has in a list that holds it.
fn place<T: PartialEq>(list: &[T], item: &T) -> u8 {
    let place = list.iter().position(|other| other == item).unwrap_or_default();
    u8::try_from(place).unwrap_or_default()
}

/// The frame that tells where servers are.
pub(crate) fn entries_frame(entries: &Entries) -> Bytes {
    let mut frame = begin(ENTRIES);
    write_entries(&mut frame, entries);
    frame.into()
}

/// Whether a frame is none of Raft's.
pub(crate) fn is_entries(frame: &[u8]) -> bool {
    frame.get(1) == Some(&ENTRIES)
}

pub(crate) fn read_entries_frame(frame: &Bytes) -> Result<Entries, DecodeError> {
    read(frame, ENTRIES, read_entries)
}

impl Question {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut frame = begin(QUESTION);
        frame.push(place(&WANTS, &self.wants));
        write_entries(&mut frame, &self.entries);
        frame
    }

    pub(crate) fn decode(frame: &Bytes) -> Result<Question, DecodeError> {
        read(frame, QUESTION, |from| {
            let wants = *WANTS.get(usize::from(from.byte()?))?;
            Some(Question { wants, entries: read_entries(from)? })
        })
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Answer { stage, founders, other_disk, facts, entries } = self;
        let mut frame = begin(ANSWER);
        frame.push(place(&STAGES, stage));
        length(&mut frame, founders.len());
        founders.iter().for_each(|server| number(&mut frame, server.0));
        frame.push(u8::from(*other_disk));
        frame.push(u8::from(facts.leader.is_some()));
        number(&mut frame, facts.leader.unwrap_or(ServerId(0)).0);
        frame.push(u8::from(facts.committed.is_some()));
        if let Some((at, configuration)) = &facts.committed {
            position(&mut frame, *at);
            encoding::configuration(&mut frame, configuration);
        }
        frame.push(place(&JOINING, &facts.joining));
        write_entries(&mut frame, entries);
        frame
    }

    pub(crate) fn decode(frame: &Bytes) -> Result<Answer, DecodeError> {
        read(frame, ANSWER, |from| {
            let stage = *STAGES.get(usize::from(from.byte()?))?;
            let founders = from.list(8, |from| from.number().map(ServerId))?.into_iter().collect();
            let other_disk = from.flag()?;
            let (leads, leader) = (from.flag()?, ServerId(from.number()?));
            let committed = match from.flag()? {
                true => Some((from.position()?, from.configuration()?)),
                false => None,
            };
            let joining = *JOINING.get(usize::from(from.byte()?))?;
            let facts = Facts { leader: leads.then_some(leader), committed, joining };
            Some(Answer { stage, founders, other_disk, facts, entries: read_entries(from)? })
        })
    }
}

fn read<T>(
    frame: &Bytes,
    kind: u8,
    body: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, DecodeError> {
    match (frame.first(), frame.get(1)) {
        (Some(&VERSION), Some(&found)) if found == kind => {}
        (Some(&VERSION), Some(&found)) => return Err(DecodeError::Kind { found }),
        (Some(&found), _) if found != VERSION => return Err(DecodeError::Version { found }),
        _ => return Err(DecodeError::Malformed { at: 0 }),
    }
    let mut from = Reader::new(frame, 2);
    match body(&mut from) {
        None => Err(DecodeError::Malformed { at: from.at() }),
        Some(_) if from.at() < frame.len() => {
            Err(DecodeError::TooLong { bytes: frame.len() - from.at() })
        }
        Some(all) => Ok(all),
    }
}

fn write_entries(to: &mut Vec<u8>, entries: &Entries) {
    length(to, entries.len());
    for (server, Entry { address, version, disk }) in entries {
        number(to, server.0);
        number(to, *version);
        to.push(u8::from(disk.is_some()));
        to.extend_from_slice(&disk.unwrap_or_default().to_le_bytes());
        length(to, address.len());
        to.extend_from_slice(address.as_bytes());
    }
}

fn read_entries(from: &mut Reader<'_>) -> Option<Entries> {
    let entries = from.list(37, |from| {
        let (server, version) = (ServerId(from.number()?), from.number()?);
        let has_disk = from.flag()?;
        let disk = u128::from_le_bytes(from.take(16)?.try_into().ok()?);
        let bytes = usize::try_from(from.short()?).ok()?;
        let address = std::str::from_utf8(from.take(bytes)?).ok()?.to_owned();
        let is_address = address.is_empty() || book::check_address(&address).is_ok();
        let entry = Entry { address, version, disk: has_disk.then_some(disk) };
        is_address.then_some((server, entry))
    })?;
    Some(entries.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki::{LogIndex, Term};

    fn entries() -> Entries {
        let entry = |address: &str, version, disk| Entry { address: address.into(), version, disk };
        let known = [entry("127.0.0.1:7", 3, None), entry("", 0, Some(8))];
        (1..).map(ServerId).zip(known).collect()
    }

    fn answers() -> [Answer; 2] {
        let at = LogPosition { index: LogIndex(7), term: Term(2) };
        let facts = Facts {
            leader: Some(ServerId(3)),
            committed: Some((at, Configuration::of_voters([ServerId(1), ServerId(3)]))),
            joining: Joining::Voter,
        };
        let founders = [ServerId(1), ServerId(2)].into();
        let full =
            Answer { stage: Stage::Member, founders, other_disk: true, facts, entries: entries() };
        let empty = Answer {
            stage: Stage::Forming,
            founders: BTreeSet::new(),
            other_disk: false,
            facts: Facts::default(),
            entries: Entries::new(),
        };
        [full, empty]
    }

    #[test]
    fn what_is_said_is_understood_and_what_is_cut_off_is_not() {
        for answer in answers() {
            let bytes = Bytes::from(answer.encode());
            assert_eq!(Answer::decode(&bytes), Ok(answer));
            (0..bytes.len()).for_each(|end| assert!(Answer::decode(&bytes.slice(..end)).is_err()));
        }
        for wants in WANTS {
            let question = Question { wants, entries: entries() };
            let bytes = Bytes::from(question.encode());
            assert_eq!(Question::decode(&bytes), Ok(question));
            assert!(Answer::decode(&bytes).is_err());
        }
        let frame = entries_frame(&entries());
        assert!(is_entries(&frame));
        assert_eq!(read_entries_frame(&frame), Ok(entries()));
    }

    proptest::proptest! {
        /// Whatever bytes come, reading them ends, and what is read was written so.
        #[test]
        fn any_bytes_are_understood_or_not(kind in 128..131_u8, rest: Vec<u8>) {
            let frame = Bytes::from([vec![VERSION, kind], rest].concat());
            if let Ok(answer) = Answer::decode(&frame) {
                proptest::prop_assert_eq!(Answer::decode(&answer.encode().into()), Ok(answer));
            }
            if let Ok(question) = Question::decode(&frame) {
                proptest::prop_assert_eq!(Question::decode(&question.encode().into()), Ok(question));
            }
            if let Ok(entries) = read_entries_frame(&frame) {
                proptest::prop_assert_eq!(read_entries_frame(&entries_frame(&entries)), Ok(entries));
            }
        }
    }
}
