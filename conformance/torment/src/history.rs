//! What clients did and were told, and whether that can be.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a client asked for, and was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// It had a number appended.
    Append {
        /// The number, which nobody else appends.
        number: u64,
        /// The index of the command; nothing if the outcome is unknown.
        index: Option<u64>,
        /// The session, if it was asked for through one, and until there was an answer.
        session: Option<u64>,
    },
    /// It asked once more for an append of a session that it has the answer to.
    Repeat {
        /// The number that was appended.
        number: u64,
        /// The index that it was told.
        index: u64,
    },
    /// It was told that its session is not open, or does not remember an answer. It should have been.
    Gone {
        /// The number that it asked for.
        number: u64,
        /// The server's word.
        how: String,
    },
    /// It read a list.
    Read {
        /// How.
        mode: ReadMode,
        /// The list.
        list: Vec<u64>,
    },
}

/// How a list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadMode {
    /// Sees all that was acknowledged before.
    Linearizable,
    /// Sees all that the client has seen.
    AtLeast,
    /// Sees some state of the past.
    Stale,
}

/// One operation. What was certainly not done is in no history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The client.
    pub client: u64,
    /// The key of the list.
    pub key: String,
    /// When it was asked for, in microseconds since the run began.
    pub start: u64,
    /// When it was answered; nothing if it was not.
    pub end: Option<u64>,
    /// What it was.
    pub did: Did,
}

/// What is wrong with what clients were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A number that was acknowledged is not in its list.
    Lost(String),
    /// A number is in a list twice.
    Twice(String),
    /// A list was read that no list ever was.
    NotAPrefix(String),
    /// An operation that came after another is ordered before it.
    NotLinearizable(String),
    /// A client saw less than it had seen.
    WentBack(String),
    /// What was asked for again was answered otherwise.
    OtherAnswer(String),
    /// A session was not remembered.
    Forgotten(String),
}

/// Judges a history, given every list as it is in the end.
///
/// Since lists only grow, the last of them says in which order numbers were appended, and its length says
/// behind which of them a read comes. So there is one order that explains a history, if any does, and it is
/// enough to see whether that keeps to what came after what. Nothing stays undecided.
pub fn judge(history: &[Operation], lists: &BTreeMap<String, Vec<u64>>) -> Vec<Wrong> {
    let mut by_key: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    let empty = Vec::new();
    let by_key = by_key.into_iter();
    by_key
        .flat_map(|(key, operations)| judge_key(key, &operations, lists.get(key).unwrap_or(&empty)))
        .chain(judge_sessions(history))
        .collect()
}

/// Every list as far as clients can tell, where it is not known how the lists are in the end: the longest that was
/// read, and behind that whatever else was acknowledged, in the order of the log.
///
/// Lists only grow, so any list in the end begins with what was read, and has what was acknowledged. What has no answer
/// and was never read may be left out. So if these lists cannot be, no others can. Whether something is lost that
/// nobody has looked for does not show.
pub fn as_seen(history: &[Operation]) -> BTreeMap<String, Vec<u64>> {
    let mut lists: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut acknowledged: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for Operation { key, did, .. } in history {
        let longest = lists.entry(key.clone()).or_default();
        match did {
            Did::Read { list, .. } if list.len() > longest.len() => longest.clone_from(list),
            Did::Append { number, index: Some(index), .. } => {
                acknowledged.entry(key).or_default().push((*index, *number));
            }
            _ => {}
        }
    }
    for (key, mut numbers) in acknowledged {
        numbers.sort_unstable();
        let list = lists.entry(key.to_string()).or_default();
        let read: HashSet<u64> = list.iter().copied().collect();
        list.extend(
            numbers.into_iter().map(|(_, number)| number).filter(|one| !read.contains(one)),
        );
    }
    lists
}

/// Sessions are remembered, and so are their answers.
fn judge_sessions(history: &[Operation]) -> Vec<Wrong> {
    let answers: HashMap<u64, u64> = history
        .iter()
        .filter_map(|operation| match operation.did {
            Did::Append { number, index, .. } => Some((number, index?)),
            _ => None,
        })
        .collect();
    let wrong = |operation: &Operation| match &operation.did {
        Did::Repeat { number, index } => {
            let answer = answers.get(number);
            let how = format!("{number} was appended at {answer:?}, and later at {index}");
            (answer != Some(index)).then_some(Wrong::OtherAnswer(how))
        }
        Did::Gone { number, how } => {
            Some(Wrong::Forgotten(format!("{number} of client {}: {how}", operation.client)))
        }
        _ => None,
    };
    history.iter().filter_map(wrong).collect()
}

fn judge_key(key: &str, operations: &[&Operation], list: &[u64]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for (place, number) in list.iter().enumerate() {
        if places.insert(*number, place).is_some() {
            wrong.push(Wrong::Twice(format!("{number} is twice in the list of {key}")));
        }
    }
    // When each operation was, and its place in the one order: an append at an even number, a read of so
    // many numbers at the odd number behind the last of them.
    let mut placed: Vec<(&Operation, usize)> = Vec::new();
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut in_order: Vec<&&Operation> = operations.iter().collect();
    in_order.sort_by_key(|operation| operation.start);
    for operation in in_order {
        let Operation { client, did, end, .. } = operation;
        let at_least = seen.entry(*client).or_default();
        match did {
            Did::Append { number, index, .. } => match places.get(number) {
                Some(place) => {
                    placed.push((operation, 2 * (place + 1)));
                    if end.is_some() {
                        *at_least = (*at_least).max(place + 1);
                    }
                }
                None if index.is_some() => {
                    wrong.push(Wrong::Lost(format!(
                        "{number} was appended to {key}, and is not there"
                    )));
                }
                None => {}
            },
            Did::Repeat { .. } | Did::Gone { .. } => {}
            Did::Read { mode, list: read } => {
                if !list.starts_with(read) {
                    let how = format!("{key} was read as {read:?}, and is {list:?} in the end");
                    wrong.push(Wrong::NotAPrefix(how));
                    continue;
                }
                if *mode == ReadMode::Linearizable {
                    placed.push((operation, 2 * read.len() + 1));
                }
                if *mode == ReadMode::AtLeast && read.len() < *at_least {
                    let how =
                        format!("client {client} read {} of {key} after {at_least}", read.len());
                    wrong.push(Wrong::WentBack(how));
                }
                if *mode != ReadMode::Stale {
                    *at_least = (*at_least).max(read.len());
                }
            }
        }
    }
    wrong.extend(out_of_order(key, placed));
    wrong
}

/// The first operation that is ordered before one that had ended when it began.
fn out_of_order(key: &str, placed: Vec<(&Operation, usize)>) -> Option<Wrong> {
    let mut by_end: Vec<(u64, usize)> =
        placed.iter().filter_map(|(one, place)| Some((one.end?, *place))).collect();
    by_end.sort_unstable();
    let mut by_start = placed;
    by_start.sort_by_key(|(one, _)| one.start);
    let (mut ended, mut highest) = (by_end.iter().peekable(), 0);
    for (operation, place) in by_start {
        while let Some((_, earlier)) = ended.next_if(|(end, _)| *end < operation.start) {
            highest = highest.max(*earlier);
        }
        if place < highest {
            let how = format!(
                "client {} at {} us: {:?} of {key} has place {place}, after what has place {highest}",
                operation.client, operation.start, operation.did
            );
            return Some(Wrong::NotLinearizable(how));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(client: u64, start: u64, end: Option<u64>, did: Did) -> Operation {
        Operation { client, key: "k".to_string(), start, end, did }
    }

    fn append(client: u64, start: u64, end: u64, number: u64) -> Operation {
        operation(
            client,
            start,
            Some(end),
            Did::Append { number, index: Some(number), session: None },
        )
    }

    fn unknown(client: u64, start: u64, number: u64) -> Operation {
        operation(client, start, None, Did::Append { number, index: None, session: None })
    }

    fn read(client: u64, start: u64, end: u64, mode: ReadMode, list: &[u64]) -> Operation {
        operation(client, start, Some(end), Did::Read { mode, list: list.to_vec() })
    }

    fn judged(history: &[Operation], list: &[u64]) -> Vec<Wrong> {
        judge(history, &BTreeMap::from([("k".to_string(), list.to_vec())]))
    }

    #[test]
    fn what_can_be_is_not_wrong() {
        let history = [
            append(1, 0, 10, 1),
            append(2, 5, 20, 2),
            read(3, 6, 9, ReadMode::Linearizable, &[]),
            read(3, 11, 19, ReadMode::Linearizable, &[2, 1]),
            unknown(1, 12, 3),
            unknown(2, 21, 4),
            read(3, 30, 31, ReadMode::Stale, &[]),
            read(3, 32, 33, ReadMode::Linearizable, &[2, 1, 3]),
        ];
        assert_eq!(judged(&history, &[2, 1, 3]), []);
    }

    #[test]
    fn what_was_seen_is_judged_without_the_lists_in_the_end() {
        use ReadMode::{Linearizable, Stale};
        let right = [
            append(1, 0, 10, 1),
            append(1, 11, 20, 2),
            read(2, 21, 22, Linearizable, &[1, 2]),
            append(1, 23, 40, 5),
            append(2, 24, 40, 4),
            read(2, 25, 26, Stale, &[1]),
            unknown(3, 27, 3),
        ];
        let lists = as_seen(&right);
        assert_eq!(lists, BTreeMap::from([("k".to_string(), vec![1, 2, 4, 5])]));
        assert_eq!(judge(&right, &lists), []);
        let is_wrong = |operation| {
            let history: Vec<Operation> = right.iter().cloned().chain([operation]).collect();
            !judge(&history, &as_seen(&history)).is_empty()
        };
        assert!(!is_wrong(read(3, 41, 42, Stale, &[1, 2, 3])));
        assert!(is_wrong(read(3, 41, 42, Linearizable, &[1, 2, 3])), "4 is not there yet");
        assert!(is_wrong(read(3, 41, 42, Stale, &[2])), "1 is not there");
        assert!(is_wrong(read(3, 41, 42, Stale, &[1, 2, 1])), "1 is there twice");
    }

    #[test]
    fn what_cannot_be_is_wrong() {
        use ReadMode::{AtLeast, Linearizable};
        let is = |history: &[Operation], list: &[u64], kind: fn(String) -> Wrong| {
            let found = judged(history, list);
            let kind = std::mem::discriminant(&kind(String::new()));
            assert!(found.iter().any(|one| std::mem::discriminant(one) == kind), "{found:?}");
        };
        is(&[append(1, 0, 10, 1)], &[], Wrong::Lost);
        is(&[append(1, 0, 10, 1)], &[1, 1], Wrong::Twice);
        is(&[read(1, 0, 1, Linearizable, &[2])], &[1, 2], Wrong::NotAPrefix);
        let stale = [append(1, 0, 10, 1), read(2, 11, 12, Linearizable, &[])];
        is(&stale, &[1], Wrong::NotLinearizable);
        let swapped = [append(1, 0, 10, 1), append(2, 11, 12, 2)];
        is(&swapped, &[2, 1], Wrong::NotLinearizable);
        let back =
            [read(1, 0, 1, Linearizable, &[1]), read(2, 2, 3, Linearizable, &[]), unknown(3, 0, 1)];
        is(&back, &[1], Wrong::NotLinearizable);
        let own = [append(1, 0, 10, 1), read(1, 11, 12, AtLeast, &[])];
        is(&own, &[1], Wrong::WentBack);
        let again = |index| operation(1, 11, Some(12), Did::Repeat { number: 1, index });
        assert_eq!(judged(&[append(1, 0, 10, 1), again(1)], &[1]), []);
        is(&[append(1, 0, 10, 1), again(2)], &[1], Wrong::OtherAnswer);
        let gone = operation(1, 11, None, Did::Gone { number: 1, how: String::new() });
        is(&[append(1, 0, 10, 1), gone], &[1], Wrong::Forgotten);
    }
}
