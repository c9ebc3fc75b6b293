//! All commands, with what clients want to know of them.

use super::arguments::Arguments;
use super::others::shortened;
use super::{Command, CommandError, keys, others, sessions};
use kontiki_specs::spelling::suggestion;

/// A command.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Its name, in small letters.
    pub name: &'static str,
    /// How many words it has, its name among them; if negative, at least so many.
    pub arity: i32,
    /// What it does, in the words of Redis.
    pub flags: &'static [&'static str],
    /// Where its keys stand: the first, the last (from the end, if negative), and every how many words.
    pub keys: (i64, i64, i64),
    parse: for<'a, 'b> fn(&mut Arguments<'a, 'b>) -> Result<Command<'a>, CommandError>,
}

type Parse = for<'a, 'b> fn(&mut Arguments<'a, 'b>) -> Result<Command<'a>, CommandError>;

const READ: &[&str] = &["readonly"];
const WRITE: &[&str] = &["write"];
const OTHER: &[&str] = &["fast"];
const ADMIN: &[&str] = &["admin"];
const NO_KEYS: (i64, i64, i64) = (0, 0, 0);
const ONE: (i64, i64, i64) = (1, 1, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);
const PAIRS: (i64, i64, i64) = (1, -1, 2);

const fn spec(
    name: &'static str,
    arity: i32,
    flags: &'static [&'static str],
    keys: (i64, i64, i64),
    parse: Parse,
) -> CommandSpec {
    CommandSpec { name, arity, flags, keys, parse }
}

/// The command that has another command in it.
pub(super) const ONCE: &str = "kontiki.once";

/// All commands, in the order of their names.
pub const COMMANDS: &[CommandSpec] = &[
    spec("append", 3, WRITE, ONE, keys::append),
    spec("asking", 1, OTHER, NO_KEYS, others::nothing),
    spec("cas", 4, WRITE, ONE, keys::cas),
    spec("client", -2, OTHER, NO_KEYS, others::client),
    spec("cluster", -2, OTHER, NO_KEYS, others::cluster),
    spec("command", -1, OTHER, NO_KEYS, others::command),
    spec("config", -2, ADMIN, NO_KEYS, others::config),
    spec("dbsize", 1, READ, NO_KEYS, keys::dbsize),
    spec("decr", 2, WRITE, ONE, keys::decr),
    spec("decrby", 3, WRITE, ONE, keys::decrby),
    spec("del", -2, WRITE, ALL, keys::del),
    spec("echo", 2, OTHER, NO_KEYS, others::echo),
    spec("exists", -2, READ, ALL, keys::exists),
    spec("expire", 3, WRITE, ONE, keys::expire),
    spec("expireat", 3, WRITE, ONE, keys::expireat),
    spec("get", 2, READ, ONE, keys::get),
    spec("hello", -1, OTHER, NO_KEYS, others::hello),
    spec("host:", -1, OTHER, NO_KEYS, others::http),
    spec("incr", 2, WRITE, ONE, keys::incr),
    spec("incrby", 3, WRITE, ONE, keys::incrby),
    spec("info", -1, OTHER, NO_KEYS, others::info),
    spec("kontiki.end", 2, WRITE, NO_KEYS, sessions::end),
    spec("kontiki.members", -2, ADMIN, NO_KEYS, others::members),
    spec(ONCE, -5, WRITE, NO_KEYS, sessions::once),
    spec("kontiki.open", 1, WRITE, NO_KEYS, sessions::open),
    spec("kontiki.server", -3, ADMIN, NO_KEYS, others::server),
    spec("kontiki.snapshot", 1, ADMIN, NO_KEYS, others::snapshot),
    spec("kontiki.status", 1, ADMIN, NO_KEYS, others::status),
    spec("kontiki.transfer", 2, ADMIN, NO_KEYS, others::transfer),
    spec("mget", -2, READ, ALL, keys::mget),
    spec("mset", -3, WRITE, PAIRS, keys::mset),
    spec("persist", 2, WRITE, ONE, keys::persist),
    spec("pexpire", 3, WRITE, ONE, keys::pexpire),
    spec("pexpireat", 3, WRITE, ONE, keys::pexpireat),
    spec("ping", -1, OTHER, NO_KEYS, others::ping),
    spec("post", -1, OTHER, NO_KEYS, others::http),
    spec("psetex", 4, WRITE, ONE, keys::psetex),
    spec("pttl", 2, READ, ONE, keys::pttl),
    spec("quit", -1, OTHER, NO_KEYS, others::quit),
    spec("readonly", 1, OTHER, NO_KEYS, others::nothing),
    spec("readwrite", 1, OTHER, NO_KEYS, others::nothing),
    spec("select", 2, OTHER, NO_KEYS, others::select),
    spec("set", -3, WRITE, ONE, keys::set),
    spec("setex", 4, WRITE, ONE, keys::setex),
    spec("setnx", 3, WRITE, ONE, keys::setnx),
    spec("strlen", 2, READ, ONE, keys::strlen),
    spec("ttl", 2, READ, ONE, keys::ttl),
    spec("unlink", -2, WRITE, ALL, keys::del),
];

/// The longest name.
const LONGEST: usize = 32;

/// The command of this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut small = [0; LONGEST];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    let small: &[u8] = small;
    let found = COMMANDS.binary_search_by(|spec| spec.name.as_bytes().cmp(small)).ok()?;
    COMMANDS.get(found)
}

/// What may be meant by a name that no command has. To look for it takes the longer the longer the name is,
/// and anybody may send anything: a name that is too long for any command is like none.
pub(super) fn alike(name: &str) -> String {
    if name.len() > LONGEST {
        return String::new();
    }
    let known: Vec<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
    suggestion(&name.to_ascii_lowercase(), &known)
}

impl<'a> Command<'a> {
    /// The command of a request.
    ///
    /// # Errors
    /// If there is no such command, or its arguments make no sense.
    pub fn parse(request: &[&'a [u8]]) -> Result<Command<'a>, CommandError> {
        let (name, rest) = request.split_first().ok_or(CommandError::Syntax)?;
        let Some(spec) = find(name) else {
            return Err(CommandError::Unknown(shortened(name)));
        };
        let fits = match usize::try_from(spec.arity) {
            Ok(exact) => request.len() == exact,
            Err(_) => request.len() >= spec.arity.unsigned_abs() as usize,
        };
        if !fits {
            return Err(CommandError::ArgumentCount(spec.name));
        }
        (spec.parse)(&mut Arguments { command: spec.name, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Condition, Expiry, Operation, SetAnswer};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Command<'_>, CommandError> {
        Command::parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_in_order_and_short() {
        assert!(COMMANDS.is_sorted_by(|one, other| one.name < other.name));
        assert!(COMMANDS.iter().all(|spec| spec.name.len() <= LONGEST));
        assert!(COMMANDS.iter().all(|spec| find(spec.name.as_bytes()).is_some()));
    }

    #[test]
    fn a_set_takes_options_in_any_order() {
        let (key, value): (&[u8], &[u8]) = (b"k", b"v");
        let expected = |condition, expiry, answer| {
            Ok(Command::Keys(Operation::Set { key, value, condition, expiry, answer }))
        };
        let (always, done) = (Condition::Always, SetAnswer::Done);
        assert_eq!(parse("SET k v"), expected(always, Expiry::Never, done));
        let (absent, old) = (Condition::Absent, SetAnswer::Old);
        assert_eq!(parse("set k v px 5 nx GET"), expected(absent, Expiry::After(5), old));
        assert_eq!(
            parse("set k v XX exat 7"),
            expected(Condition::Present, Expiry::At(7000), done)
        );
        assert_eq!(parse("set k v keepttl"), expected(always, Expiry::Unchanged, done));
        for wrong in [
            "set k v nx xx",
            "set k v ex 1 px 1",
            "set k v keepttl ex 1",
            "set k v what",
            "set k v ex",
        ] {
            assert_eq!(parse(wrong), Err(CommandError::Syntax), "{wrong}");
        }
        for wrong in ["set k v ex 0", "set k v px -1", "set k v ex 9223372036854775807"] {
            assert_eq!(parse(wrong), Err(CommandError::ExpireTime("set")), "{wrong}");
        }
        assert_eq!(parse("set k v ex x"), Err(CommandError::NotAnInteger));
    }

    #[test]
    fn a_mistake_is_named() {
        assert_eq!(parse("get"), Err(CommandError::ArgumentCount("get")));
        assert_eq!(parse("get a b"), Err(CommandError::ArgumentCount("get")));
        assert_eq!(parse("mset a b c"), Err(CommandError::ArgumentCount("mset")));
        assert_eq!(parse("incrby k 01"), Err(CommandError::NotAnInteger));
        assert_eq!(parse("decrby k -9223372036854775808"), Err(CommandError::NotAnInteger));
        let error = parse("strlne k").unwrap_err().to_string();
        assert_eq!(error, "ERR unknown command 'strlne': did you mean `strlen`?");
        let error = parse(&"get".repeat(11)).unwrap_err().to_string();
        assert_eq!(error, format!("ERR unknown command '{}'", "get".repeat(11)));
        assert_eq!(parse("Host: localhost"), Err(CommandError::Http));
        let long = "n".repeat(257);
        assert_eq!(parse(&format!("CLIENT SETNAME {long}")), Err(CommandError::LongName));
        let many = "get ".repeat(1000);
        assert_eq!(parse(&format!("COMMAND INFO {many}")), Err(CommandError::Syntax));
        // However deep it is, the parser does not go down there.
        let deep = "KONTIKI.ONCE 1 1 1 ".repeat(100_000);
        assert_eq!(parse(&deep), Err(CommandError::NotOnKeys));
    }

    proptest! {
        #[test]
        fn any_words_are_a_command_or_an_error(
            name in prop::sample::select(COMMANDS), words in vec(vec(any::<u8>(), 0..8), 0..6),
        ) {
            let request: Vec<&[u8]> =
                [name.name.as_bytes()].into_iter().chain(words.iter().map(Vec::as_slice)).collect();
            if let Err(error) = Command::parse(&request) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
