//! Where entries are on disk: an index in memory that is sparse.

use kontiki::LogIndex;

/// How many bytes lie between two places in the index, at least, where nothing else asks for one.
const STRIDE: u64 = 1 << 16;

/// Where a record of entries begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryPlace {
    /// The first entry of the record that counts.
    pub(crate) first: LogIndex,
    pub(crate) segment: u64,
    /// Where the record's frame begins in the segment.
    pub(crate) frame: u64,
    /// Where the record begins in the frame's body.
    pub(crate) record: usize,
}

/// The places of some records, in rising order of index. From each on, the entries up to the next
/// place follow one another in the segment, none left out and none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    places: Vec<EntryPlace>,
}

impl Places {
    /// Takes up the place of a record of entries. The log ended at `last_index` before it.
    pub(crate) fn note(&mut self, place: EntryPlace, last_index: LogIndex) {
        let kept = self.places.partition_point(|known| known.first < place.first);
        self.places.truncate(kept);
        let follows = self.places.last().is_some_and(|known| {
            known.segment == place.segment
                && place.frame - known.frame < STRIDE
                && place.first == last_index.next()
        });
        if !follows {
            self.places.push(place);
        }
    }

    /// Forgets what is up to an index.
    pub(crate) fn let_go(&mut self, through: LogIndex) {
        let next = through.next();
        let gone = self.places.partition_point(|place| place.first <= next);
        self.places.drain(..gone.saturating_sub(1));
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }

    /// Where to begin to read for an entry, and the last entry that is read from there.
    pub(crate) fn find(&self, index: LogIndex) -> Option<(EntryPlace, LogIndex)> {
        let next = self.places.partition_point(|place| place.first <= index);
        let place = *self.places.get(next.checked_sub(1)?)?;
        let last = self.places.get(next).map_or(LogIndex(u64::MAX), |next| next.first.previous());
        Some((place, last))
    }

    /// The oldest segment that an entry is in.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.places.iter().map(|place| place.segment).min()
    }

    /// The first entry that can be found.
    pub(crate) fn first(&self) -> Option<LogIndex> {
        self.places.first().map(|place| place.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(first: u64, segment: u64, frame: u64) -> EntryPlace {
        EntryPlace { first: LogIndex(first), segment, frame, record: 0 }
    }

    #[test]
    fn there_are_few_places_and_each_entry_has_one() {
        let mut places = Places::default();
        for index in 0..10_000 {
            places.note(place(index + 1, 1, index * 100), LogIndex(index));
        }
        assert_eq!(places.places.len(), 16);
        let (found, last) = places.find(LogIndex(5_000)).unwrap();
        assert!(found.first <= LogIndex(5_000) && LogIndex(5_000) <= last);
        assert_eq!(places.find(LogIndex::ZERO), None);
    }

    #[test]
    fn what_is_replaced_is_forgotten_and_has_a_place_of_its_own() {
        let mut places = Places::default();
        places.note(place(1, 1, 0), LogIndex(0));
        places.note(place(2, 1, 100), LogIndex(1));
        places.note(place(2, 1, 200), LogIndex(2));
        assert_eq!(places.find(LogIndex(1)), Some((place(1, 1, 0), LogIndex(1))));
        assert_eq!(places.find(LogIndex(2)), Some((place(2, 1, 200), LogIndex(u64::MAX))));
        places.note(place(1, 1, 300), LogIndex(2));
        assert_eq!(places.places, [place(1, 1, 300)]);
    }

    #[test]
    fn what_is_let_go_of_frees_the_segments_before() {
        let mut places = Places::default();
        places.note(place(1, 1, 0), LogIndex(0));
        places.note(place(11, 2, 0), LogIndex(10));
        places.let_go(LogIndex(9));
        assert_eq!(places.oldest_segment(), Some(1));
        places.let_go(LogIndex(10));
        assert_eq!(places.oldest_segment(), Some(2));
    }
}
