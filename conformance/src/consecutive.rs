//! What every message with entries must be, whoever sends it and in whatever state: entries that
//! follow one another and begin right after the position that they are placed behind.

use kontiki_specs::{Entry, LogPosition, Message, Output, Term};

/// The first thing that is wrong with the entries of a message that is put out, in words.
pub fn disorder(outputs: &[Output]) -> Option<String> {
    outputs.iter().find_map(|output| match output {
        Output::Send { to, message: Message::AppendEntries { term, prev, entries, .. } } => {
            let wrong = disorder_behind(*prev, entries, *term)?;
            Some(format!("entries of a message to {to} do not follow one another: {wrong}"))
        }
        _ => None,
    })
}

/// The first entry that cannot stand where it does, placed behind a position by a leader of a term.
fn disorder_behind(prev: LogPosition, entries: &[Entry], leader: Term) -> Option<String> {
    let mut before = prev;
    for entry in entries {
        let at = entry.position();
        if at.index != before.index.next() || at.term < before.term || at.term > leader {
            return Some(format!("after {before} comes {entry}, from a leader of term {leader}"));
        }
        before = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::{LogIndex, Payload, ServerId};

    fn sent(prev: (u64, u64), entries: &[(u64, u64)]) -> Output {
        let entry = |&(index, term): &(u64, u64)| Entry {
            index: LogIndex(index),
            term: Term(term),
            payload: Payload::Noop,
        };
        let message = Message::AppendEntries {
            term: Term(3),
            prev: LogPosition { index: LogIndex(prev.0), term: Term(prev.1) },
            entries: entries.iter().map(entry).collect(),
            commit_index: LogIndex(0),
        };
        Output::Send { to: ServerId(2), message }
    }

    #[test]
    fn what_is_in_order() {
        for entries in [&[][..], &[(1, 1)], &[(1, 1), (2, 1), (3, 3)]] {
            assert_eq!(disorder(&[sent((0, 0), entries)]), None);
        }
        assert_eq!(disorder(&[sent((4, 2), &[(5, 2), (6, 3)])]), None);
    }

    #[test]
    fn what_is_not() {
        let gap_before = sent((1, 1), &[(3, 1)]);
        let gap_inside = sent((0, 0), &[(1, 1), (3, 1)]);
        let again = sent((1, 1), &[(1, 1)]);
        let falls = sent((1, 2), &[(2, 2), (3, 1)]);
        let below_prev = sent((1, 2), &[(2, 1)]);
        let beyond_leader = sent((0, 0), &[(1, 4)]);
        for wrong in [gap_before, gap_inside.clone(), again, falls, below_prev, beyond_leader] {
            let found = disorder(&[sent((0, 0), &[]), wrong.clone()]);
            assert!(found.is_some(), "{wrong:?}");
        }
        let said = disorder(&[gap_inside]).unwrap_or_default();
        let expected = "entries of a message to S2 do not follow one another: \
                        after 1@1 comes no-op 3@1, from a leader of term 3";
        assert_eq!(said, expected);
    }
}
