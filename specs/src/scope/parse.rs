//! From the text of a scope file to a [`Scope`].
//!
//! The TOML tree is walked by hand, not deserialized, to know the line of everything and to say
//! what would be right.

use super::error::Element;
use super::{Disk, Scope, ScopeError, ScopeFlaw, Suite, limits};
use crate::spelling::printable;
use crate::{Goal, MembershipChange, NotAChange, Property};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Every key of a scope file, with an example of its use.
const KEYS: &[(&str, &str)] = &[
    ("description", "description = \"what the scope is for\""),
    ("suite", "suite = \"ci\""),
    ("servers", "servers = 3"),
    ("voters", "voters = 3"),
    ("terms", "terms = 2"),
    ("log", "log = 2"),
    ("commands", "commands = 1"),
    ("batch", "batch = 2"),
    ("window", "window = 2"),
    ("batch-bytes", "batch-bytes = 93"),
    ("window-bytes", "window-bytes = 124"),
    ("apply-bytes", "apply-bytes = 62"),
    ("restarts", "restarts = 1"),
    ("disk", "disk = \"asynchronous\""),
    ("disk-stalls", "disk-stalls = true"),
    ("pre-vote", "pre-vote = true"),
    ("leader-contact", "leader-contact = true"),
    ("check-quorum", "check-quorum = true"),
    ("heartbeats", "heartbeats = false"),
    ("changes", "changes = [\"replace 1 2 4\", \"remove 3\"]"),
    ("catch-up-rounds", "catch-up-rounds = 2"),
    ("transfers", "transfers = 1"),
    ("snapshots", "snapshots = 1"),
    ("chunks", "chunks = 2"),
    ("kept-entries", "kept-entries = 1"),
    ("leases", "leases = true"),
    ("reads", "reads = 1"),
    ("follower-reads", "follower-reads = 1"),
    ("sessions", "sessions = 1"),
    ("session-commands", "session-commands = 2"),
    ("most-sessions", "most-sessions = 2"),
    ("most-answers", "most-answers = 2"),
    ("session-ends", "session-ends = true"),
    ("snapshot-bytes", "snapshot-bytes = 55"),
    ("snapshot-failures", "snapshot-failures = true"),
    ("properties", "properties = [\"election-safety\", \"log-matching\"]"),
    ("sometimes", "sometimes = [\"leader-elected\", \"command-committed\"]"),
    ("unique-states", "unique-states = 2040"),
    ("local-transitions", "local-transitions = 8991"),
    ("turned-away", "turned-away = 903"),
];

pub(super) fn scope(name: &str, origin: &str, text: &str) -> Result<Scope, ScopeError> {
    let file = File::parse(origin, text)?;
    file.refuse_unknown_keys()?;
    let servers = file.required("servers", limits::SERVERS)?;
    let log = file.required("log", limits::LOG)?;
    let properties = file.names("properties", "property", Property::ALL, Property::name)?;
    let mut scope = Scope {
        name: name.to_string(),
        description: file.string("description")?.unwrap_or_default().to_string(),
        suite: file.one_of("suite", Suite::ALL, Suite::name)?,
        servers,
        voters: file.integer("voters", limits::SERVERS)?.unwrap_or(servers),
        terms: file.required("terms", limits::TERMS)?,
        log,
        commands: file.integer("commands", limits::COMMANDS)?,
        batch: file.integer("batch", limits::BATCH)?.unwrap_or(1),
        window: file.integer("window", limits::WINDOW)?.unwrap_or(log),
        batch_bytes: file.integer("batch-bytes", limits::LIMIT_BYTES)?,
        window_bytes: file.integer("window-bytes", limits::LIMIT_BYTES)?,
        apply_bytes: file.integer("apply-bytes", limits::LIMIT_BYTES)?,
        restarts: file.integer("restarts", limits::RESTARTS)?.unwrap_or(0),
        disk: file.one_of("disk", Disk::ALL, Disk::name)?.unwrap_or_default(),
        pre_vote: file.boolean("pre-vote")?.unwrap_or(false),
        leader_contact: file.boolean("leader-contact")?.unwrap_or(false),
        disk_stalls: file.boolean("disk-stalls")?.unwrap_or(false),
        check_quorum: file.boolean("check-quorum")?.unwrap_or(false),
        heartbeats: file.boolean("heartbeats")?.unwrap_or(true),
        changes: file.changes()?,
        catch_up_rounds: file.integer("catch-up-rounds", limits::CATCH_UP_ROUNDS)?.unwrap_or(0),
        transfers: file.integer("transfers", limits::TRANSFERS)?.unwrap_or(0),
        snapshots: file.integer("snapshots", limits::SNAPSHOTS)?.unwrap_or(0),
        chunks: file.integer("chunks", limits::CHUNKS)?.unwrap_or(1),
        kept_entries: file.integer("kept-entries", limits::KEPT_ENTRIES)?.unwrap_or(0),
        leases: file.boolean("leases")?.unwrap_or(false),
        reads: file.integer("reads", limits::READS)?.unwrap_or(0),
        follower_reads: file.integer("follower-reads", limits::READS)?.unwrap_or(0),
        sessions: file.integer("sessions", limits::SESSIONS)?.unwrap_or(0),
        session_commands: file.integer("session-commands", limits::OF_SESSIONS)?.unwrap_or(1),
        most_sessions: file.integer("most-sessions", limits::OF_SESSIONS)?.unwrap_or(1),
        most_answers: file.integer("most-answers", limits::OF_SESSIONS)?.unwrap_or(1),
        session_ends: file.boolean("session-ends")?.unwrap_or(false),
        snapshot_bytes: file.integer("snapshot-bytes", limits::LIMIT_BYTES)?,
        snapshot_failures: file.boolean("snapshot-failures")?.unwrap_or(false),
        properties: BTreeSet::new(),
        sometimes: file.names("sometimes", "goal", Goal::ALL, Goal::name)?.unwrap_or_default(),
        unique_states: file.integer("unique-states", limits::UNIQUE_STATES)?,
        local_transitions: file.integer("local-transitions", limits::LOCAL_TRANSITIONS)?,
        turned_away: file.integer("turned-away", limits::TURNED_AWAY)?,
    };
    scope.properties = properties.unwrap_or_else(|| applicable(&scope));
    let checked = scope.check().and_then(|()| limits::check_snapshots(&scope));
    let checked = checked.and_then(|()| limits::check_sessions(&scope));
    checked.map_err(|flaw| file.locate(flaw))?;
    Ok(scope)
}

/// Every property that says something in the scope.
fn applicable(scope: &Scope) -> BTreeSet<Property> {
    let applies = |property: &Property| limits::property_lacks(scope, *property).is_none();
    Property::ALL.iter().copied().filter(applies).collect()
}

pub(super) fn utf8<'a>(origin: &str, bytes: &'a [u8]) -> Result<&'a str, ScopeError> {
    std::str::from_utf8(bytes).map_err(|error| ScopeError::Flawed {
        origin: origin.to_string(),
        line: line_of(bytes, error.valid_up_to()),
        flaw: ScopeFlaw::new("bytes that are not UTF-8", "a scope file is TOML text in UTF-8"),
    })
}

/// The line, from 1, that holds the byte at `offset`.
fn line_of(text: &[u8], offset: usize) -> usize {
    text.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// A key's place, and its value.
type Field<'a> = (Range<usize>, &'a Spanned<DeValue<'a>>);

struct File<'a> {
    origin: &'a str,
    text: &'a str,
    table: DeTable<'a>,
}

impl<'a> File<'a> {
    fn parse(origin: &'a str, text: &'a str) -> Result<File<'a>, ScopeError> {
        match DeTable::parse(text) {
            Ok(table) => Ok(File { origin, text, table: table.into_inner() }),
            Err(error) => Err(ScopeError::Flawed {
                origin: origin.to_string(),
                line: line_of(text.as_bytes(), error.span().map_or(0, |span| span.start)),
                flaw: ScopeFlaw::new(
                    format!("not TOML: {}", printable(error.message())),
                    "a scope file is lines of `key = value`, each key once, as in: servers = 3",
                ),
            }),
        }
    }

    /// The error for a flaw in the line that holds the byte at `offset`.
    fn flawed(&self, offset: usize, flaw: ScopeFlaw) -> ScopeError {
        let line = line_of(self.text.as_bytes(), offset);
        ScopeError::Flawed { origin: self.origin.to_string(), line, flaw }
    }

    /// The error for a flaw that knows its key.
    fn locate(&self, flaw: ScopeFlaw) -> ScopeError {
        let (key, element) = flaw.place();
        let Some((place, value)) = self.field(key) else { return self.flawed(0, flaw) };
        let mut offset = place.start;
        if let (Some(element), DeValue::Array(elements)) = (element, value.get_ref()) {
            let element = match element {
                Element::At(place) => elements.get(place),
                Element::Saying(text) => {
                    elements.iter().find(|element| element.get_ref().as_str() == Some(text))
                }
            };
            offset = element.map_or(offset, |element| element.span().start);
        }
        self.flawed(offset, flaw)
    }

    fn refuse_unknown_keys(&self) -> Result<(), ScopeError> {
        let known: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        let unknown = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            None => Ok(()),
            Some(key) => {
                let flaw = ScopeFlaw::unknown("key", "keys", key.get_ref(), &known);
                Err(self.flawed(key.span().start, flaw))
            }
        }
    }

    fn field(&self, key: &str) -> Option<Field<'_>> {
        let (key, value) = self.table.iter().find(|(known, _)| known.get_ref() == key)?;
        Some((key.span(), value))
    }

    fn required(&self, key: &'static str, range: RangeInclusive<u64>) -> Result<u64, ScopeError> {
        self.integer(key, range)?.ok_or_else(|| {
            let what = format!("the key `{key}` is missing");
            self.flawed(0, ScopeFlaw::new(what, format!("add a line, as in: {}", example(key))))
        })
    }

    /// Refuses only what is no `u64`; [`Scope::check`] knows the range, and all that depends on it.
    fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ScopeError> {
        let Some((place, value)) = self.field(key) else { return Ok(None) };
        let DeValue::Integer(integer) = value.get_ref() else {
            return Err(self.wrong_type(place, key, "an integer", value));
        };
        match natural(integer) {
            Some(number) => Ok(Some(number)),
            None => {
                let shown = printable(&integer.to_string());
                Err(self.flawed(place.start, limits::out_of_range(key, &shown, &range)))
            }
        }
    }

    fn boolean(&self, key: &'static str) -> Result<Option<bool>, ScopeError> {
        let Some((place, value)) = self.field(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(boolean) => Ok(Some(*boolean)),
            _ => Err(self.wrong_type(place, key, "true or false", value)),
        }
    }

    fn string(&self, key: &'static str) -> Result<Option<&str>, ScopeError> {
        let Some((place, value)) = self.field(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some(text)),
            _ => Err(self.wrong_type(place, key, "a string", value)),
        }
    }

    /// One of `all`, by its name.
    fn one_of<T: Copy>(
        &self,
        key: &'static str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, ScopeError> {
        let Some(word) = self.string(key)? else { return Ok(None) };
        let start = self.field(key).map_or(0, |(place, _)| place.start);
        pick(key, &format!("values of `{key}`"), word, all, name)
            .map(Some)
            .map_err(|flaw| self.flawed(start, flaw))
    }

    /// A list of some of `all`, by their names.
    fn names<T: Copy + Ord>(
        &self,
        key: &'static str,
        kind: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<Option<BTreeSet<T>>, ScopeError> {
        let Some((place, value)) = self.field(key) else { return Ok(None) };
        let picked = self.strings(place, key, "a list of names", value)?.into_iter();
        let picked = picked.map(|(start, word)| {
            pick(kind, &format!("names for `{key}`"), word, all, name)
                .map_err(|flaw| self.flawed(start, flaw))
        });
        picked.collect::<Result<_, _>>().map(Some)
    }

    fn changes(&self) -> Result<Vec<MembershipChange>, ScopeError> {
        const KEY: &str = "changes";
        let Some((place, value)) = self.field(KEY) else { return Ok(Vec::new()) };
        let words = self.strings(place, KEY, "a list of changes", value)?.into_iter();
        let changes = words.map(|(start, word)| {
            word.parse().map_err(|wrong: NotAChange| {
                let help = format!("write, as in: {}", example(KEY));
                self.flawed(start, ScopeFlaw::new(wrong.to_string(), help))
            })
        });
        changes.collect()
    }

    /// The strings of a list, with the place of each.
    fn strings<'s>(
        &self,
        place: Range<usize>,
        key: &str,
        wanted: &str,
        value: &'s Spanned<DeValue<'s>>,
    ) -> Result<Vec<(usize, &'s str)>, ScopeError> {
        let DeValue::Array(elements) = value.get_ref() else {
            return Err(self.wrong_type(place, key, wanted, value));
        };
        let strings = elements.iter().map(|element| match element.get_ref() {
            DeValue::String(text) => Ok((element.span().start, text.as_ref())),
            _ => Err(self.wrong_type(element.span(), key, wanted, element)),
        });
        strings.collect()
    }

    fn wrong_type(
        &self,
        place: Range<usize>,
        key: &str,
        wanted: &str,
        found: &Spanned<DeValue<'_>>,
    ) -> ScopeError {
        let what = format!("`{key}` must be {wanted}, but here is {}", described(found.get_ref()));
        self.flawed(place.start, ScopeFlaw::new(what, format!("write, as in: {}", example(key))))
    }
}

fn pick<T: Copy>(
    kind: &str,
    kinds: &str,
    word: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, ScopeFlaw> {
    all.iter().copied().find(|value| name(*value) == word).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|value| name(*value)).collect();
        ScopeFlaw::unknown(kind, kinds, word, &known)
    })
}

fn natural(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn example(key: &str) -> &'static str {
    KEYS.iter().find(|(known, _)| *known == key).map_or("", |(_, example)| *example)
}

/// A value, as an error message shows it.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", printable(text)),
        DeValue::Integer(integer) => format!("the integer {}", printable(&integer.to_string())),
        DeValue::Float(float) => format!("the float {}", printable(float.as_str())),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "a date or time".to_string(),
        DeValue::Array(_) => "a list".to_string(),
        DeValue::Table(_) => "a table".to_string(),
    }
}
