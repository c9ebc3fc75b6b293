//! The history, judged by a checker of others: the search of Wing and Gong, as Lowe made it faster
//! (`todc_utils`). It looks for an order, where [`crate::history`] knows one.

use crate::history::{Did, Operation, ReadMode};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use todc_utils::Specification;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};

/// How long the search for one key may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the checker says of a history that it does not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No order explains what clients were told of this key.
    NotLinearizable(String),
    /// The search for this key has not ended in time.
    Undecided(String),
}

/// Judges the appends and the linearizable reads of a history, given every list as it is in the end. How many
/// operations were judged, or the first key that is not accepted.
pub fn check(history: &[Operation], lists: &BTreeMap<String, Vec<u64>>) -> Result<usize, Verdict> {
    let mut by_key: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    let (empty, mut judged) = (Vec::new(), 0);
    for (key, operations) in by_key {
        let actions = actions(&operations, lists.get(key).unwrap_or(&empty));
        judged += actions.len() / 2;
        match is_linearizable(actions) {
            Some(true) => {}
            Some(false) => return Err(Verdict::NotLinearizable(key.to_string())),
            None => return Err(Verdict::Undecided(key.to_string())),
        }
    }
    Ok(judged)
}

/// Nothing if that was not found out in time. Then the search goes on until the process ends.
fn is_linearizable(actions: Vec<(usize, Action<Asked>)>) -> Option<bool> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let history = History::from_actions(actions);
        // Nobody waits any more if it took too long.
        let _ = tell.send(WGLChecker::<List>::is_linearizable(history));
    });
    told.recv_timeout(PATIENCE).ok()
}

/// A list of numbers.
struct List;

/// What is known of a list: enough to tell whether it is the one that somebody has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Known {
    length: usize,
    fingerprint: u64,
    /// The index of the last append whose index is known.
    last: u64,
}

impl Known {
    fn append(&mut self, number: u64) {
        let mut hasher = DefaultHasher::new();
        (self.fingerprint, number).hash(&mut hasher);
        (self.length, self.fingerprint) = (self.length + 1, hasher.finish());
    }

    fn of(list: &[u64]) -> Known {
        let mut known = Known::default();
        list.iter().for_each(|number| known.append(*number));
        known
    }
}

/// What was asked for, and how it was answered.
#[derive(Clone, Debug)]
enum Asked {
    /// The index is answered to an append. Indices only grow. Nothing if there was no answer.
    Append {
        number: u64,
        index: Option<u64>,
    },
    Read {
        length: usize,
        fingerprint: u64,
    },
}

impl Asked {
    fn read(list: &[u64]) -> Asked {
        let Known { length, fingerprint, .. } = Known::of(list);
        Asked::Read { length, fingerprint }
    }
}

impl Specification for List {
    type State = Known;
    type Operation = Asked;

    fn init() -> Known {
        Known::default()
    }

    fn apply(asked: &Asked, list: &Known) -> (bool, Known) {
        match asked {
            Asked::Append { number, index } => {
                let mut after = list.clone();
                after.append(*number);
                after.last = index.unwrap_or(list.last);
                (index.is_none_or(|index| index > list.last), after)
            }
            Asked::Read { length, fingerprint } => {
                let is_this = (*length, *fingerprint) == (list.length, list.fingerprint);
                (is_this, list.clone())
            }
        }
    }
}

/// The beginnings and ends of all operations of a key in their order, and a read of the list in the end. What
/// has no end ends behind that.
///
/// An append that has no end and is not in the list is left out. Nothing is ever taken off a list, so there
/// is an order with that append if and only if there is one without: it may come last. The search is spared
/// to look for its place at every step, which takes too long where there are several.
fn actions(operations: &[&Operation], list: &[u64]) -> Vec<(usize, Action<Asked>)> {
    let has_no_effect = |operation: &&&Operation| match &operation.did {
        Did::Append { number, .. } => operation.end.is_none() && !list.contains(number),
        _ => false,
    };
    let asked = operations.iter().filter(|one| !has_no_effect(one)).filter_map(|operation| {
        let asked = match &operation.did {
            Did::Append { number, index, .. } => Asked::Append { number: *number, index: *index },
            Did::Read { mode: ReadMode::Linearizable, list } => Asked::read(list),
            Did::Read { .. } | Did::Repeat { .. } | Did::Gone { .. } => return None,
        };
        Some((operation.start, operation.end.unwrap_or(u64::MAX), asked))
    });
    let in_the_end = (u64::MAX - 2, u64::MAX - 1, Asked::read(list));
    let mut moments: Vec<(u64, bool, usize, Asked)> = Vec::new();
    // Everything is a process of its own, since a client whose write has no answer goes on.
    for (process, (start, end, asked)) in asked.chain([in_the_end]).enumerate() {
        moments.push((start, false, process, asked.clone()));
        moments.push((end, true, process, asked));
    }
    // What begins when something else ends overlaps with it.
    moments.sort_by_key(|(at, is_end, _, _)| (*at, *is_end));
    let moments = moments.into_iter();
    moments
        .map(|(_, is_end, process, asked)| match is_end {
            false => (process, Action::Call(asked)),
            true => (process, Action::Response(asked)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Wrong, judge};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    const KEY: &str = "k";

    /// Three clients that ask for so much of one list, which does as it should.
    fn honest(seed: u64, count: u64) -> (Vec<Operation>, Vec<u64>) {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut free_at, mut list, mut history) = ([0; 3], Vec::new(), Vec::new());
        // What happens at a moment was asked for before it, and is answered after it.
        for moment in (1..=count).map(|moment| moment * 10) {
            let ready: Vec<usize> = (0..3).filter(|client| free_at[*client] < moment).collect();
            if ready.is_empty() {
                continue;
            }
            let client = ready[random.random_range(0..ready.len())];
            let start = random.random_range(free_at[client]..moment) + 1;
            let end = moment + random.random_range(0..40);
            free_at[client] = end;
            let is_unknown = random.random_bool(0.01);
            let did = match random.random_bool(0.5) {
                true => {
                    list.push(moment);
                    let index = (!is_unknown).then_some(moment);
                    Did::Append { number: moment, index, session: None }
                }
                false => Did::Read { mode: ReadMode::Linearizable, list: list.clone() },
            };
            let unknown = matches!(did, Did::Append { index: None, .. });
            let (client, key) = (client as u64, KEY.to_string());
            history.push(Operation { client, key, start, end: (!unknown).then_some(end), did });
        }
        (history, list)
    }

    fn ended(list: &[u64]) -> BTreeMap<String, Vec<u64>> {
        BTreeMap::from([(KEY.to_string(), list.to_vec())])
    }

    /// Neither accepts it.
    fn both_find(history: &[Operation], list: &[u64], is: fn(&Wrong) -> bool) {
        let found = judge(history, &ended(list));
        assert!(found.iter().any(is), "{found:?}");
        let verdict = check(history, &ended(list));
        assert_eq!(verdict, Err(Verdict::NotLinearizable(KEY.to_string())));
    }

    #[test]
    fn both_accept_what_is_right() {
        for seed in 0..10 {
            let (history, list) = honest(seed, 600);
            assert!(history.len() > 200);
            assert_eq!(judge(&history, &ended(&list)), []);
            assert_eq!(check(&history, &ended(&list)), Ok(history.len() + 1));
        }
    }

    /// An append that was answered, from the middle on, and its number.
    fn an_append(history: &[Operation]) -> (usize, u64) {
        let later = history.iter().enumerate().skip(history.len() / 2);
        later
            .filter_map(|(place, operation)| match operation.did {
                Did::Append { number, index: Some(_), .. } => Some((place, number)),
                _ => None,
            })
            .next()
            .unwrap_or_default()
    }

    #[test]
    fn both_find_a_stale_read() {
        for seed in 0..10 {
            let (mut history, list) = honest(seed, 600);
            let (place, number) = an_append(&history);
            let end = history[place].end;
            let read = history.iter_mut().find(|operation| {
                let is_read = matches!(operation.did, Did::Read { .. });
                is_read && Some(operation.start) > end
            });
            if let Some(Operation { did: Did::Read { list, .. }, .. }) = read {
                list.truncate(list.iter().position(|one| *one == number).unwrap_or_default());
            }
            both_find(&history, &list, |wrong| matches!(wrong, Wrong::NotLinearizable(_)));
        }
    }

    #[test]
    fn both_find_a_lost_write() {
        for seed in 0..10 {
            let (mut history, mut list) = honest(seed, 600);
            let (_, number) = an_append(&history);
            for operation in &mut history {
                if let Did::Read { list, .. } = &mut operation.did {
                    list.retain(|one| *one != number);
                }
            }
            list.retain(|one| *one != number);
            both_find(&history, &list, |wrong| matches!(wrong, Wrong::Lost(_)));
        }
    }

    #[test]
    fn both_find_what_was_executed_twice() {
        for seed in 0..10 {
            let (history, mut list) = honest(seed, 600);
            list.push(an_append(&history).1);
            both_find(&history, &list, |wrong| matches!(wrong, Wrong::Twice(_)));
        }
    }

    #[test]
    fn both_find_another_order() {
        for seed in 0..10 {
            let (mut history, mut list) = honest(seed, 600);
            let swap = |list: &mut Vec<u64>| {
                if list.len() > 40 {
                    list.swap(20, 40);
                }
            };
            for operation in &mut history {
                if let Did::Read { list, .. } = &mut operation.did {
                    swap(list);
                }
            }
            swap(&mut list);
            both_find(&history, &list, |wrong| {
                matches!(wrong, Wrong::NotLinearizable(_) | Wrong::NotAPrefix(_))
            });
        }
    }

    #[test]
    fn an_append_without_answer_may_have_had_no_effect() {
        let did = Did::Append { number: 1, index: None, session: None };
        let unknown = Operation { client: 1, key: KEY.to_string(), start: 1, end: None, did };
        assert_eq!(check(std::slice::from_ref(&unknown), &ended(&[])), Ok(1));
        assert_eq!(check(std::slice::from_ref(&unknown), &ended(&[1])), Ok(2));
        // If it was seen, it is in the list in the end.
        let read = |start, list: &[u64]| {
            let did = Did::Read { mode: ReadMode::Linearizable, list: list.to_vec() };
            Operation { client: 2, key: KEY.to_string(), start, end: Some(start + 1), did }
        };
        let wrong = Err(Verdict::NotLinearizable(KEY.to_string()));
        assert_eq!(check(&[unknown.clone(), read(2, &[1])], &ended(&[])), wrong);
        assert_eq!(check(&[unknown.clone(), read(2, &[1])], &ended(&[1])), Ok(3));
        assert_eq!(check(&[read(0, &[1]), unknown.clone()], &ended(&[1])), Ok(3));
        let before = Operation { start: 5, ..unknown };
        assert_eq!(check(&[read(0, &[1]), before], &ended(&[1])), wrong);
    }

    /// As many as this took longer than anybody waits when the search looked for a place for each.
    #[test]
    fn many_appends_without_answer_do_not_hold_up_the_search() {
        let (mut history, list) = honest(1, 600);
        for number in 0..20 {
            let did = Did::Append { number: 100_000 + number, index: None, session: None };
            let (client, key) = (10 + number, KEY.to_string());
            history.push(Operation { client, key, start: number, end: None, did });
        }
        assert_eq!(check(&history, &ended(&list)), Ok(history.len() - 20 + 1));
    }
}
