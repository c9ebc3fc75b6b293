//! A value field by field, so that what differs between two can be told without the rest.

use std::fmt::Debug;

/// Something that was opened in the text and not closed yet.
struct Open {
    /// The way to it, as `raft.role.progress[2]`.
    way: String,
    /// How many unnamed parts it has had so far; `None` where they go without a number, as what a
    /// newtype holds does.
    parts: Option<usize>,
    /// What a newtype holds: names an entry of a map that has it for its key.
    holds: String,
}

/// Every part of a value that has no parts, with the names on the way to it, as its `Debug` tells
/// them: `raft.log.first_recent: 3`; and for each part that has some, what kind of thing it is.
pub fn fields(value: &impl Debug) -> Vec<String> {
    let text = format!("{value:#?}");
    let mut lines = Vec::new();
    let mut opened: Vec<Open> = Vec::new();
    let mut key = None;
    for line in text.lines() {
        let line = line.trim_start().trim_end_matches(',');
        let line = match line.strip_prefix(['}', ')', ']']) {
            None => line,
            Some(rest) => {
                let closed = opened.pop();
                let Some(rest) = rest.strip_prefix(": ") else { continue };
                key = closed.map(|closed| closed.holds);
                rest
            }
        };
        let (name, value) = match key.take() {
            Some(key) => (format!("[{key}]"), line),
            None => named(line, opened.last_mut()),
        };
        let way = opened.last().map_or("", |open| &open.way);
        let dot = if way.is_empty() || name.is_empty() || name.starts_with('[') { "" } else { "." };
        let way = format!("{way}{dot}{name}");
        let kind = value.trim_end_matches(['{', '(', '[']).trim_end();
        if !kind.is_empty() {
            lines.push(if way.is_empty() { kind.to_string() } else { format!("{way}: {kind}") });
        }
        if value.ends_with('(') {
            opened.push(Open { way, parts: None, holds: String::new() });
        } else if value.ends_with(['{', '[']) {
            opened.push(Open { way, parts: Some(0), holds: String::new() });
        } else if let Some(open) = opened.last_mut() {
            open.holds.push_str(value);
        }
    }
    lines
}

/// The name that a line gives to a part, or the part's number, and the rest of the line.
fn named<'a>(line: &'a str, within: Option<&mut Open>) -> (String, &'a str) {
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some((name, rest)) = line.split_once(": ").filter(|(name, _)| is_name(name)) {
        return (name.to_string(), rest);
    }
    let Some(parts) = within.and_then(|open| open.parts.as_mut()) else {
        return (String::new(), line);
    };
    *parts += 1;
    (format!("[{}]", *parts - 1), line)
}

/// What only one of two values has: the first's with `-`, the other's with `+`.
pub fn differences(one: &impl Debug, other: &impl Debug) -> Vec<String> {
    only_one_has(&fields(one), &fields(other))
}

/// The lines that only one of two lists has: the first's with `-`, the other's with `+`.
pub fn only_one_has(one: &[String], other: &[String]) -> Vec<String> {
    let missing = one.iter().filter(|line| !other.contains(line));
    let surplus = other.iter().filter(|line| !one.contains(line));
    let missing = missing.map(|line| format!("- {line}"));
    missing.chain(surplus.map(|line| format!("+ {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::{differences, fields};
    use kontiki_specs::{FollowerProgress, LogIndex, ReplicationMode, RoleObservation, ServerId};
    use std::collections::BTreeMap;

    fn leader(next_index: u64) -> RoleObservation {
        let known = FollowerProgress {
            match_index: LogIndex(1),
            next_index: LogIndex(next_index),
            mode: ReplicationMode::Probe,
            catch_up: None,
        };
        RoleObservation::Leader {
            progress: BTreeMap::from([(ServerId(2), known)]),
            heard: [ServerId(2), ServerId(3)].into(),
            transfer: None,
            reads: Default::default(),
        }
    }

    #[test]
    fn each_field_has_its_names_on_one_line() {
        let told = fields(&(leader(2), "in: two\nlines"));
        for line in [
            "Leader",
            "progress[2]: FollowerProgress",
            "progress[2].match_index: 1",
            "progress[2].mode: Probe",
            "progress[2].catch_up: None",
            "heard[1]: 3",
            "transfer: None",
            "\"in: two\\nlines\"",
        ] {
            assert!(told.contains(&line.to_string()), "{line} is not in {told:#?}");
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let differs = ["- progress[2].next_index: 2", "+ progress[2].next_index: 3"];
        assert_eq!(differences(&leader(2), &leader(3)), differs);
        assert_eq!(differences(&leader(2), &leader(2)), [""; 0]);
        assert_eq!(differences(&Some(vec![1]), &None::<Vec<u8>>), ["- Some", "- [0]: 1", "+ None"]);
    }
}
