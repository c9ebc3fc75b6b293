//! Scope files: what is accepted, and that every refusal says where, what, and what would be right.

use kontiki_specs::scope::{Disk, Scope, ScopeError, Suite};
use kontiki_specs::{Goal, MembershipChange, Property, ServerId};
use quickcheck::quickcheck;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

const BOUNDS: &str = "servers = 3\nterms = 2\nlog = 2\n";

/// The error for three lines of good bounds followed by `rest`, which starts on line 4.
fn refusal(rest: &str) -> String {
    match Scope::parse("my", "my.toml", &format!("{BOUNDS}{rest}")) {
        Ok(scope) => format!("accepted as {scope:?}"),
        Err(error) => error.to_string(),
    }
}

/// That the error for `rest` starts with `start` and contains each of `parts`.
#[track_caller]
fn refused(rest: &str, start: &str, parts: &[&str]) {
    let message = refusal(rest);
    assert!(message.starts_with(start), "{message}\nshould start with\n{start}");
    for part in parts {
        assert!(message.contains(part), "{message}\nshould contain\n{part}");
    }
    assert!(message.contains("\n  "), "{message}\nsays nothing about what would be right");
}

#[test]
fn five_lines_are_a_scope() {
    let text = "description = \"Elections.\"\nservers = 3\nterms = 2\nlog = 1\nsometimes = [\"leader-elected\"]\n";
    let scope = Scope::parse("five", "five.toml", text).unwrap();
    let inapplicable = [
        Property::UndisturbedLeader,
        Property::CutOffRaisesNoTerm,
        Property::LeaderHasMajority,
        Property::NewestConfiguration,
        Property::OnePendingConfiguration,
        Property::QuorumOverlap,
        Property::LeaderBelongs,
        Property::ExpectedConfiguration,
        Property::OrderlyTransfer,
        Property::StalledDiskFollows,
        Property::PromotedWhenCaughtUp,
        Property::CaughtUpInTime,
        Property::SnapshotOfCommitted,
        Property::NothingLetGoUncovered,
        Property::LinearizableReads,
        Property::LeaseExcludesLeaders,
        Property::ExecutedOnce,
        Property::SameAnswer,
        Property::SessionLasts,
    ];
    let properties: BTreeSet<_> =
        Property::ALL.iter().copied().filter(|property| !inapplicable.contains(property)).collect();
    let expected = Scope {
        name: "five".to_string(),
        description: "Elections.".to_string(),
        suite: None,
        servers: 3,
        voters: 3,
        terms: 2,
        log: 1,
        commands: None,
        batch: 1,
        window: 1,
        batch_bytes: None,
        window_bytes: None,
        apply_bytes: None,
        restarts: 0,
        disk: Disk::Synchronous,
        disk_stalls: false,
        pre_vote: false,
        leader_contact: false,
        check_quorum: false,
        heartbeats: true,
        changes: Vec::new(),
        catch_up_rounds: 0,
        transfers: 0,
        snapshots: 0,
        chunks: 1,
        kept_entries: 0,
        reads: 0,
        leases: false,
        follower_reads: 0,
        sessions: 0,
        session_commands: 1,
        most_sessions: 1,
        most_answers: 1,
        session_ends: false,
        snapshot_bytes: None,
        snapshot_failures: false,
        properties,
        sometimes: BTreeSet::from([Goal::LeaderElected]),
        unique_states: None,
        local_transitions: None,
        turned_away: None,
    };
    assert_eq!(scope, expected);
}

#[test]
fn every_key_is_read() {
    let text = "description = \"Größe: 小さい\"\nsuite = \"deep\"\nservers = 4\nvoters = 3\nterms = 15\n\
        log = 0x2\ncommands = 0\nbatch = 15\nwindow = 3\nbatch-bytes = 88\n\
        window-bytes = 0x100_0000_0000\napply-bytes = 99\nrestarts = 7\ndisk = \"asynchronous\"\ndisk-stalls = true\npre-vote = true\nleader-contact = true\n\
        check-quorum = true\nheartbeats = false\ncatch-up-rounds = 2\ntransfers = 7\nsnapshots = 6\nchunks = 3\nkept-entries = 1\nleases = true\nreads = 4\nfollower-reads = 1\nsessions = 5\nsession-commands = 6\nmost-sessions = 4\nmost-answers = 7\nsession-ends = true\nsnapshot-bytes = 77\nsnapshot-failures = true\n\
        changes = [\"add-learner 4\", \"replace 1  2 learners 3 4\"]\nproperties = [\n  \"undisturbed-leader\",\n  \"log-matching\",\n]\n\
        sometimes = [\"write-lost\"]\nunique-states = 10_085_740\nlocal-transitions = 8991\nturned-away = 903\n";
    let scope = Scope::parse("all", "all.toml", text).unwrap();
    let expected = Scope {
        name: "all".to_string(),
        description: "Größe: 小さい".to_string(),
        suite: Some(Suite::Deep),
        servers: 4,
        voters: 3,
        terms: 15,
        log: 2,
        commands: Some(0),
        batch: 15,
        window: 3,
        batch_bytes: Some(88),
        window_bytes: Some(1 << 40),
        apply_bytes: Some(99),
        restarts: 7,
        disk: Disk::Asynchronous,
        disk_stalls: true,
        pre_vote: true,
        leader_contact: true,
        check_quorum: true,
        heartbeats: false,
        changes: vec![
            MembershipChange::AddLearner(ServerId(4)),
            MembershipChange::Replace {
                voters: vec![ServerId(1), ServerId(2)],
                learners: vec![ServerId(3), ServerId(4)],
            },
        ],
        catch_up_rounds: 2,
        transfers: 7,
        snapshots: 6,
        chunks: 3,
        kept_entries: 1,
        reads: 4,
        leases: true,
        follower_reads: 1,
        sessions: 5,
        session_commands: 6,
        most_sessions: 4,
        most_answers: 7,
        session_ends: true,
        snapshot_bytes: Some(77),
        snapshot_failures: true,
        properties: BTreeSet::from([Property::UndisturbedLeader, Property::LogMatching]),
        sometimes: BTreeSet::from([Goal::WriteLost]),
        unique_states: Some(10_085_740),
        local_transitions: Some(8_991),
        turned_away: Some(903),
    };
    assert_eq!(scope, expected);
}

#[test]
fn without_a_list_all_that_applies_is_checked() {
    let rules = "pre-vote = true\ncheck-quorum = true\ncatch-up-rounds = 1\nsnapshots = 1\nreads = 1\nsessions = 1\n\
        disk = \"asynchronous\"\ndisk-stalls = true\nleader-contact = true\nleases = true\n";
    let text = format!("{BOUNDS}{rules}changes = [\"remove 3\"]\n");
    let scope = Scope::parse("all", "all.toml", &text).unwrap();
    assert_eq!(scope.properties, Property::ALL.iter().copied().collect());
}

#[test]
fn the_built_in_scopes_parse() {
    let scopes = Scope::builtin().unwrap();
    assert!(!scopes.is_empty());
    assert!(scopes.is_sorted_by(|a, b| a.name < b.name));
    for scope in scopes {
        assert_eq!(scope.check(), Ok(()));
        assert!(!scope.description.is_empty(), "{} has no description", scope.name);
        assert_eq!(Scope::find(&scope.name).unwrap(), scope);
        let path = format!("{}/scopes/{}.toml", env!("CARGO_MANIFEST_DIR"), scope.name);
        assert_eq!(Scope::find(&path).unwrap(), scope);
    }
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    for scope in Scope::builtin().unwrap() {
        let word = format!("{}x", scope.name);
        let message = Scope::find(&word).unwrap_err().to_string();
        let start = format!("unknown scope `{word}`: did you mean `");
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains(&format!("`{}`", scope.name)), "{message}");
        assert!(message.contains("\n  known scopes: "), "{message}");
        assert!(message.contains("scope file"), "{message}");
    }
    let message = Scope::find("").unwrap_err().to_string();
    assert!(message.starts_with("unknown scope ``\n"), "{message}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for path in ["no/such-scope.toml", "no-such-scope.toml", "no/such-scope"] {
        let error = Scope::find(path).unwrap_err();
        assert!(matches!(error, ScopeError::Unreadable { .. }));
        assert!(error.to_string().starts_with(&format!("{path}: cannot be read: ")), "{error}");
        // Who prints an error with its sources would print the reason twice.
        assert!(error.source().is_none(), "{error}");
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(matches!(Scope::load(directory), Err(ScopeError::Unreadable { .. })));
    let path = directory.join("long.toml");
    std::fs::write(&path, " ".repeat(70_000)).unwrap();
    assert!(matches!(Scope::load(&path), Err(ScopeError::TooLong { .. })));
    std::fs::write(&path, b"servers = 3\nterms = \"\xff\"\n").unwrap();
    let message = Scope::load(&path).unwrap_err().to_string();
    assert!(message.contains("long.toml:2: bytes that are not UTF-8"), "{message}");
    std::fs::write(&path, BOUNDS).unwrap();
    assert_eq!(Scope::load(&path).unwrap().name, "long");
}

#[test]
fn unknown_keys() {
    refused(
        "restart = 1\n",
        "my.toml:4: unknown key `restart`: did you mean `restarts`?\n  known keys: ",
        &["description, ", "unique-states"],
    );
    refused(
        "disk = 3\npre_vote = true\n",
        "my.toml:5: unknown key `pre_vote`: did you mean `pre-vote`?",
        &[],
    );
    refused("[nested]\nservers = 3\n", "my.toml:4: unknown key `nested`\n", &[]);
    refused("\"\" = 1\n", "my.toml:4: unknown key ``\n", &[]);
    refused("\"a\\nb\\u001b\" = 1\n", "my.toml:4: unknown key `a\\nb\\u{1b}`\n", &[]);
    refused("zzz = 1\nqqq = 1\n", "my.toml:4: unknown key `zzz`\n", &[]);
    assert!(refusal(&format!("{} = 1\n", "x".repeat(60_000))).len() < 1200);
}

#[test]
fn missing_keys() {
    for (text, key, example) in [
        ("", "servers", "servers = 3"),
        ("# nothing\n", "servers", "servers = 3"),
        ("servers = 3\nlog = 1\n", "terms", "terms = 2"),
        ("servers = 3\nterms = 1\n", "log", "log = 2"),
    ] {
        let message = Scope::parse("my", "my.toml", text).unwrap_err().to_string();
        let start = format!("my.toml:1: the key `{key}` is missing\n");
        assert!(message.starts_with(&start) && message.contains(example), "{message}");
    }
}

#[test]
fn wrong_types() {
    let example = &["as in: restarts = 1"];
    let start = "my.toml:4: `restarts` must be an integer, but here is ";
    refused("restarts = \"one\"\n", &format!("{start}the string \"one\""), example);
    refused("restarts = 1.5\n", &format!("{start}the float 1.5"), example);
    refused("restarts = [1]\n", &format!("{start}a list"), example);
    refused("restarts.x = 1\n", &format!("{start}a table"), example);
    refused("[restarts]\n", &format!("{start}a table"), example);
    refused("restarts = 2020-01-01\n", &format!("{start}a date or time"), example);
    refused("\ndescription = 4\n", "my.toml:5: `description` must be a string", &["integer 4"]);
    refused("pre-vote = 1\n", "my.toml:4: `pre-vote` must be true or false", &["integer 1"]);
    refused("suite = true\n", "my.toml:4: `suite` must be a string", &["true", "suite = \"ci\""]);
    refused("sometimes = \"x\"\n", "my.toml:4: `sometimes` must be a list of names", &["= ["]);
    refused("properties = [\n\"recovery\",\n3]\n", "my.toml:6: `properties` must be a list", &[]);
}

#[test]
fn bounds_out_of_range() {
    refused("restarts = 8\n", "my.toml:4: `restarts` is 8, which is out", &["from 0 to 7"]);
    refused("restarts = -1\n", "my.toml:4: `restarts` is -1, which is out", &["from 0 to 7"]);
    let large = "99999999999999999999999";
    refused(&format!("restarts = {large}\n"), &format!("my.toml:4: `restarts` is {large}"), &[]);
    refused(
        "unique-states = 0\n",
        "my.toml:4: `unique-states` is 0",
        &["1 or more (leave the key out"],
    );
    refused("batch-bytes = 0\n", "my.toml:4: `batch-bytes` is 0, which is out", &["is 1 or more"]);
    refused("apply-bytes = 0\n", "my.toml:4: `apply-bytes` is 0, which is", &["is 1 or more"]);
    refused("window-bytes = 0\n", "my.toml:4: `window-bytes` is 0, which is", &["is 1 or more"]);
    refused("voters = 0\n", "my.toml:4: `voters` is 0", &["from 1 to `servers` (here 3)"]);
    refused("voters = 4\n", "my.toml:4: `voters` is 4, but there are only 3 servers", &["here 3"]);
    for (text, start, range) in [
        ("servers = 8\nterms = 2\nlog = 2", "my.toml:1: `servers` is 8", "from 1 to 7"),
        ("servers = 0\nterms = 2\nlog = 2", "my.toml:1: `servers` is 0", "from 1 to 7"),
        ("servers = 3\nterms = 16\nlog = 2", "my.toml:2: `terms` is 16", "from 1 to 15"),
        ("servers = 3\nterms = 0\nlog = 2", "my.toml:2: `terms` is 0", "from 1 to 15"),
        ("servers = 3\nterms = 2\nlog = 16", "my.toml:3: `log` is 16", "from 1 to 15"),
        ("servers = 3\r\nterms = 2\r\nlog = 0", "my.toml:3: `log` is 0", "appends a no-op"),
    ] {
        let message = Scope::parse("my", "my.toml", text).unwrap_err().to_string();
        assert!(message.starts_with(start) && message.contains(range), "{message}");
    }
}

#[test]
fn snapshots_that_nobody_takes() {
    for (key, value) in [("chunks", 2), ("kept-entries", 1)] {
        let start = format!("my.toml:4: `{key}` is {value}, but no server takes a snapshot\n");
        let help = format!("set snapshots = 1 or more, or leave `{key}` out");
        refused(&format!("{key} = {value}\n"), &start, &[&help]);
        let text = format!("{BOUNDS}{key} = {value}\nsnapshots = 1\n");
        Scope::parse("my", "my.toml", &text).unwrap();
    }
    refused(
        "snapshots = 1\nkept-entries = 2\n",
        "my.toml:5: `kept-entries` is 2, so a log of 2 lets go of nothing\n",
        &["set it lower than `log`"],
    );
    Scope::parse("my", "my.toml", &format!("{BOUNDS}chunks = 1\nkept-entries = 0\n")).unwrap();
}

#[test]
fn changes_that_are_none() {
    for wrong in
        ["", "add 4", "add-voter", "remove 1 2", "remove x", "replace 1 learners", "replace -1"]
    {
        let start = format!("my.toml:5: `{wrong}` is no change of membership");
        refused(&format!("changes = [\n\"{wrong}\"]\n"), &start, &["changes = [\"replace"]);
    }
    let start = "my.toml:4: `replace 1 learners 4` names server 4";
    refused("changes = [\"replace 1 learners 4\"]\n", start, &["from 1 to `servers` (here 3)"]);
    let many = ["\"remove 1\""; 9].join(", ");
    refused(
        &format!("changes = [{many}]\n"),
        "my.toml:4: `changes` lists 9 changes",
        &["at most 8"],
    );
    refused("changes = 3\n", "my.toml:4: `changes` must be a list of changes", &["integer 3"]);
}

#[test]
fn unknown_names() {
    refused(
        "sometimes = [\n  \"leader-elected\",\n  \"split-votes\",\n]\n",
        "my.toml:6: unknown goal `split-votes`: did you mean `split-vote`?\n  known names for `sometimes`: ",
        &["quorum-check-passed"],
    );
    refused(
        "properties = [\"log-match\"]\n",
        "my.toml:4: unknown property `log-match`: did you mean `log-matching`?",
        &["known names for `properties`: election-safety"],
    );
    refused("suite = \"cl\"\n", "my.toml:4: unknown suite `cl`", &["values of `suite`: ci, deep"]);
    refused(
        "disk = \"async\"\n",
        "my.toml:4: unknown disk `async`: did you mean `asynchronous`?",
        &["synchronous, asynchronous"],
    );
}

#[test]
fn nothing_to_check() {
    refused("properties = []\n", "my.toml:4: `properties` is empty", &["leave the key out"]);
}

#[test]
fn goals_that_cannot_be_reached() {
    let asynchronous = "disk = \"asynchronous\"\n";
    for (given, goal, need) in [
        ("", "pre-vote-won", "pre-vote = true"),
        ("", "vote-request-ignored", "leader-contact = true"),
        ("", "leader-steps-down", "check-quorum = true"),
        ("", "quorum-check-passed", "check-quorum = true"),
        ("commands = 0\n", "command-committed", "commands = 1"),
        ("", "restart-with-vote", "restarts = 1"),
        ("", "restart-with-entries", "restarts = 1"),
        ("", "write-lost", "disk = \"asynchronous\""),
        (asynchronous, "write-lost", "restarts = 1"),
        ("restarts = 1\n", "write-lost", "disk = \"asynchronous\""),
        ("", "committed-before-leader-durable", "disk = \"asynchronous\""),
    ] {
        let line = 5 + given.lines().count();
        let start = format!("my.toml:{line}: goal `{goal}` cannot be reached");
        let list = format!("{given}sometimes = [\"leader-elected\",\n  \"{goal}\"]\n");
        refused(&list, &start, &[&format!("set {need}"), "or take the name out"]);
        // With what was asked for, the goal is accepted.
        let both = "pre-vote = true\nleader-contact = true\ncheck-quorum = true\nrestarts = 1\n";
        let text = format!("{BOUNDS}{both}{asynchronous}sometimes = [\"{goal}\"]\n");
        Scope::parse("my", "my.toml", &text).unwrap();
    }
}

#[test]
fn properties_that_say_nothing() {
    for (name, need, enough) in [
        ("undisturbed-leader", "leader-contact = true or pre-vote = true", "leader-contact = true"),
        ("undisturbed-leader", "leader-contact = true or pre-vote = true", "pre-vote = true"),
        ("cut-off-raises-no-term", "pre-vote = true", "pre-vote = true"),
        ("leader-has-majority", "check-quorum = true", "check-quorum = true"),
    ] {
        let list = format!("properties = [\n\"log-matching\",\n\"{name}\"]\n");
        let start = format!("my.toml:6: property `{name}` says nothing");
        refused(&list, &start, &[&format!("set {need}, or take")]);
        Scope::parse("my", "my.toml", &format!("{BOUNDS}{enough}\n{list}")).unwrap();
    }
}

#[test]
fn what_is_not_toml() {
    refused("restarts\n", "my.toml:4: not TOML: ", &["key = value"]);
    refused(
        "restarts = 1\nrestarts = 1\n",
        "my.toml:5: not TOML: duplicate key",
        &["each key once"],
    );
    refused("sometimes = [\n\n", "my.toml:", &["not TOML: "]);
    refused("sometimes = \"\u{1}\"\n", "my.toml:4: not TOML: ", &[]);
    refused(&format!("log = {}", "[".repeat(10_000)), "my.toml:4: not TOML: ", &[]);
}

quickcheck! {
    fn random_text_never_panics(text: String) -> bool {
        let _ = Scope::parse("any", "any.toml", &text);
        let _ = Scope::find(&text);
        true
    }

    fn a_random_value_never_panics(key: usize, value: String) -> bool {
        let keys = ["servers", "voters", "log", "disk", "suite", "properties", "pre-vote"];
        let key = keys[key % keys.len()];
        for value in [value.clone(), format!("{value:?}"), format!("[{value:?}]")] {
            let _ = Scope::parse("any", "any.toml", &format!("terms = 1\n{key} = {value}\n"));
        }
        true
    }

    fn a_cut_or_changed_file_never_panics(at: usize, byte: u8) -> bool {
        let good = format!("{BOUNDS}disk = \"asynchronous\"\nsometimes = [\"two-leaders\"]\n");
        let at = at % good.len();
        let mut changed = good.clone().into_bytes();
        changed[at] = byte;
        let _ = Scope::parse("any", "any.toml", &good[..at]);
        let _ = Scope::parse("any", "any.toml", &String::from_utf8_lossy(&changed));
        true
    }
}
