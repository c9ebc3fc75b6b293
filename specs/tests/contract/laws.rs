//! The laws of the contract's small types.

use bytes::Bytes;
use kontiki_specs::{Entries, Entry, LogIndex, Payload, ServerId, Term};
use quickcheck::quickcheck;
use std::hash::{DefaultHasher, Hash, Hasher};

fn entries(terms: &[u8]) -> Entries {
    let entry = |(index, term): (u64, &u8)| Entry {
        term: Term(u64::from(*term)),
        index: LogIndex(index),
        payload: match term % 2 {
            0 => Payload::Noop,
            _ => Payload::Command(Bytes::from(vec![*term; usize::from(*term) % 5])),
        },
    };
    (1..).zip(terms).map(entry).collect()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

quickcheck! {
    fn a_part_is_what_a_slice_is(terms: Vec<u8>, start: usize, end: usize) -> bool {
        let (start, end) = (start % 40, end % 40);
        let all = entries(&terms);
        let slice = all.get(start..end.min(all.len())).unwrap_or_default();
        *all.part(start..end) == *slice
    }

    fn a_part_of_a_part_is_a_part(terms: Vec<u8>, a: usize, b: usize, c: usize, d: usize) -> bool {
        let (a, b, c, d) = (a % 20, b % 40, c % 20, d % 20);
        let all = entries(&terms);
        all.part(a..b).part(c..d) == all.part((a + c)..b.min(a + d))
    }

    fn parts_are_equal_by_content(terms: Vec<u8>, start: usize) -> bool {
        let all = entries(&terms);
        let part = all.part(start % 40..all.len());
        let copy = Entries::from(part.to_vec());
        part == copy && hash(&part) == hash(&copy) && hash(&part) == hash(&part.to_vec())
    }

    fn a_part_shares_its_memory(terms: Vec<u8>, start: usize) -> bool {
        let all = entries(&terms);
        let start = start % 40;
        let part = all.part(start..all.len());
        part.is_empty() || std::ptr::eq(&part[0], &all[start])
    }

    fn first_and_last_index_are_those_of_the_ends(terms: Vec<u8>) -> bool {
        let all = entries(&terms);
        let last = u64::try_from(terms.len()).map(LogIndex);
        match terms.is_empty() {
            true => (all.first_index(), all.last_index()) == (None, None),
            false => all.first_index() == Some(LogIndex(1)) && all.last_index() == last.ok(),
        }
    }

    fn entries_are_written_as_a_list(terms: Vec<u8>) -> bool {
        let all = entries(&terms);
        let json = serde_json::to_string(&all).unwrap_or_default();
        let list = serde_json::to_string(&all.to_vec()).unwrap_or_default();
        json == list && serde_json::from_str::<Entries>(&json).is_ok_and(|read| read == all)
    }

    fn the_order_of_ids_is_that_of_their_numbers(a: u64, b: u64) -> bool {
        Term(a).cmp(&Term(b)) == a.cmp(&b)
            && LogIndex(a).cmp(&LogIndex(b)) == a.cmp(&b)
            && ServerId(a).cmp(&ServerId(b)) == a.cmp(&b)
    }

    fn next_and_previous_undo_each_other(a: u64) -> bool {
        let index = LogIndex(a);
        (a == u64::MAX || index.next().previous() == index)
            && (a == 0 || index.previous().next() == index)
            && (a == u64::MAX || (index.next() > index && Term(a).next() > Term(a)))
    }

    fn numbers_are_written_as_numbers(a: u64) -> bool {
        let written = |json: serde_json::Result<String>| json.is_ok_and(|json| json == a.to_string());
        written(serde_json::to_string(&Term(a)))
            && written(serde_json::to_string(&LogIndex(a)))
            && written(serde_json::to_string(&ServerId(a)))
    }
}

#[test]
fn numbers_end_where_they_end() {
    assert_eq!(Term(u64::MAX).next(), Term(u64::MAX));
    assert_eq!(LogIndex(u64::MAX).next(), LogIndex(u64::MAX));
    assert_eq!(LogIndex::ZERO.previous(), LogIndex::ZERO);
}
