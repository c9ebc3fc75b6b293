//! What a store shows.

use crate::kit::Failure;
use bytes::Bytes;
use kontiki::storage::{HardState, LogStore, Received, SnapshotStore, StoreError};
use kontiki::{Entry, LogIndex, LogPosition, Payload, Snapshot, Term};

/// How much is asked for at once: little, so that answers are cut.
const READ_BYTES: u64 = 300;
const CHUNK_BYTES: usize = 333;

/// All that a store shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) hard_state: HardState,
    pub(crate) base: LogPosition,
    pub(crate) log: Vec<Entry>,
    pub(crate) snapshot: Option<(Snapshot, Bytes)>,
    pub(crate) receiving: Option<Received>,
}

impl Observed {
    /// Asks a store for everything, and checks that its answers go together.
    pub(crate) fn of(store: &(impl LogStore + SnapshotStore)) -> Result<Self, StoreError> {
        let (base, last_index) = (store.base()?, store.last_index()?);
        let mut log = Vec::<Entry>::new();
        let mut next = base.index.next();
        while next <= last_index {
            let entries = store.entries(next, last_index, READ_BYTES)?;
            let Some(last) = entries.last_index().filter(|_| entries.first_index() == Some(next))
            else {
                return Err(StoreError::Missing { index: next, last_index });
            };
            log.extend_from_slice(&entries);
            next = last.next();
        }
        let observed = Observed {
            hard_state: store.hard_state()?,
            base,
            log,
            snapshot: snapshot(store)?,
            receiving: store.receiving()?,
        };
        observed.goes_together(store, last_index)?;
        Ok(observed)
    }

    fn goes_together(&self, store: &impl LogStore, last_index: LogIndex) -> Result<(), StoreError> {
        let strange = |what: String| Err(StoreError::Corrupt(what));
        for (entry, index) in self.log.iter().zip(self.base.index.next().0..) {
            if entry.index != LogIndex(index) || store.term(entry.index)? != entry.term {
                return strange(format!("entry {entry} is not what stands at {index}"));
            }
        }
        let is_configuration = |entry: &&Entry| matches!(entry.payload, Payload::Configuration(_));
        let found = self.log.iter().filter(is_configuration).map(|entry| entry.index);
        let known = store.configurations()?;
        if !found.eq(known.iter().copied().filter(|index| *index > self.base.index)) {
            return strange(format!("the configurations are not at {known:?}"));
        }
        for beyond in [self.base.index, last_index.next()] {
            if store.term(beyond).is_ok() || store.entries(beyond, beyond, 1).is_ok() {
                return strange(format!("there is an entry {beyond}, and there should be none"));
            }
        }
        Ok(())
    }

    /// What is wrong if this store shows what that one does; a store may have let go of less than it may.
    pub(crate) fn differs(&self, expected: &Observed) -> Option<String> {
        let part = |name: &str, found: String, expected: String| {
            (found != expected).then(|| format!("{name}: {found} in place of {expected}"))
        };
        let position = |observed: &Observed| {
            let last = observed.log.last().map_or(observed.base, Entry::position);
            format!("behind {} up to {last}", observed.base)
        };
        let kept_more = self.base.index < expected.base.index;
        let begin = expected.base.index;
        let from_base: Vec<&Entry> = self.log.iter().filter(|entry| entry.index > begin).collect();
        let base = self.log.iter().find(|entry| entry.index == begin).map(Entry::position);
        let base_fits =
            if kept_more { base == Some(expected.base) } else { self.base == expected.base };
        let same = base_fits && from_base.iter().copied().eq(expected.log.iter());
        part("hard state", format!("{:?}", self.hard_state), format!("{:?}", expected.hard_state))
            .or_else(|| {
                (!same).then(|| format!("log: {} for {}", position(self), position(expected)))
            })
            .or_else(|| {
                let name = |observed: &Observed| format!("{:?}", observed.snapshot);
                part("snapshot", name(self), name(expected))
            })
            .or_else(|| {
                let name = |observed: &Observed| format!("{:?}", observed.receiving);
                part("receiving", name(self), name(expected))
            })
    }

    /// As [`Observed::differs`], as a failure of what was done.
    pub(crate) fn expect(&self, expected: &Observed, done: &str) -> Result<(), Failure> {
        self.differs(expected).map_or(Ok(()), |what| Err(Failure(format!("{done}: {what}"))))
    }

    pub(crate) fn last_term(&self) -> Term {
        self.log.last().map_or(self.base.term, |entry| entry.term)
    }
}

fn snapshot(
    store: &(impl LogStore + SnapshotStore),
) -> Result<Option<(Snapshot, Bytes)>, StoreError> {
    let Some(snapshot) = store.snapshot()? else { return Ok(None) };
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < snapshot.size {
        match store.chunk(snapshot.id, bytes.len() as u64, CHUNK_BYTES)? {
            Some(chunk) if !chunk.is_empty() => bytes.extend_from_slice(&chunk),
            _ => return Err(StoreError::Corrupt(format!("{snapshot} ends too early"))),
        }
    }
    Ok(Some((snapshot, bytes.into())))
}
