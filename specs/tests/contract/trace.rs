//! Traces: what is written is read back, and a trace that has been tampered with is refused.

use super::arbitrary::AnyTrace;
use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::trace::{
    MAX_LINE_BYTES, Trace, TraceError, TraceHeader, TraceProblem, TraceStep,
};
use kontiki_specs::{
    Configuration, Input, LogIndex, LogPosition, Message, Observation, Output, Property,
    RoleObservation, ServerId, Term,
};
use quickcheck::{TestResult, quickcheck};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// A small trace: every server campaigns.
fn campaigns() -> Result<Trace, Box<dyn std::error::Error>> {
    let scope = Scope::parse("small", "small.toml", "servers = 3\nterms = 1\nlog = 1\n")?;
    let header = TraceHeader {
        scope,
        mutation: None,
        violates: Some(Property::ElectionSafety),
        about: "every server campaigns".to_string(),
    };
    Ok(Trace { header, steps: (1..=3).map(|id| campaign(ServerId(id))).collect() })
}

fn campaign(server: ServerId) -> TraceStep {
    let (term, vote) = (Term(1), Some(server));
    let last = LogPosition::default();
    let message = Message::RequestVote { term, last, transfer: false };
    let ask = |to| Output::Send { to: ServerId(to), message: message.clone() };
    TraceStep {
        server,
        from: None,
        input: Input::ElectionTimeout,
        outputs: (1..=3).filter(|to| *to != server.0).map(ask).collect(),
        observation: Observation {
            term,
            vote,
            durable_term: term,
            durable_vote: vote,
            log_base: LogPosition::default(),
            log: Vec::new(),
            snapshot: None,
            durable_snapshot: None,
            taking: None,
            receiving: None,
            configuration: Configuration::of_voters((1..=3).map(ServerId)),
            configuration_index: LogIndex::ZERO,
            incarnation: 0,
            disk_stalls: false,
            durable_index: LogIndex::ZERO,
            commit_index: LogIndex::ZERO,
            applied_index: LogIndex::ZERO,
            unexecuted_bytes: 0,
            bytes_since_snapshot: 0,
            role: RoleObservation::Candidate { votes: BTreeSet::from([server]), transfer: false },
        },
    }
}

fn text(trace: &Trace) -> io::Result<String> {
    let mut bytes = Vec::new();
    trace.write(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn read(text: &str) -> Result<Trace, TraceError> {
    Trace::read(text.as_bytes())
}

fn joined<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// The error for the trace after `change` of its lines.
fn error_after(change: impl FnOnce(&mut Vec<String>)) -> Result<TraceError, String> {
    let trace = campaigns().map_err(|error| error.to_string())?;
    let text = text(&trace).map_err(|error| error.to_string())?;
    let mut lines: Vec<_> = text.lines().map(str::to_string).collect();
    change(&mut lines);
    match read(&joined(lines.iter().map(String::as_str))) {
        Ok(_) => Err("the changed trace was accepted".to_string()),
        Err(error) => Ok(error),
    }
}

#[test]
fn the_format_is_as_documented() {
    let text = text(&campaigns().unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with(r#"{"format":"kontiki-trace","version":7,"scope":{"name":"#));
    assert!(lines[0].ends_with(
        r#""mutation":null,"violates":"election-safety","about":"every server campaigns"}"#
    ));
    let step = r#"{"step":1,"server":1,"input":"election-timeout","outputs":[{"send":{"to":2,"#;
    assert!(lines[1].starts_with(step), "{}", lines[1]);
    assert_eq!(lines[4], r#"{"end":true,"steps":3}"#);
    assert_eq!(lines.len(), 5);
}

#[test]
fn a_file_is_read_back() {
    let trace = campaigns().unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaigns.jsonl");
    trace.save(&path).unwrap();
    assert_eq!(Trace::load(&path).unwrap(), trace);
    let cut = text(&trace).unwrap();
    std::fs::write(&path, &cut[..cut.len() - 10]).unwrap();
    let message = Trace::load(&path).unwrap_err().to_string();
    assert!(
        message.contains("campaigns.jsonl:5: the trace is cut short after 3 steps"),
        "{message}"
    );
    let error = Trace::load("no/such.jsonl").unwrap_err();
    assert!(matches!(error.problem(), TraceProblem::Unreadable(_)));
    assert!(error.to_string().starts_with("no/such.jsonl:1: cannot be read: "), "{error}");
}

#[test]
fn steps_may_go_on_from_earlier_ones() {
    let mut trace = campaigns().unwrap();
    for (from, server) in [(Some(0), 1), (Some(1), 1), (Some(4), 1), (None, 2)] {
        trace.steps.push(TraceStep { from, ..campaign(ServerId(server)) });
    }
    assert_eq!(read(&text(&trace).unwrap()).unwrap(), trace);
    trace.steps.push(TraceStep { from: Some(3), ..campaign(ServerId(1)) });
    assert!(text(&trace).unwrap_err().to_string().contains("no earlier step of S1"));
}

#[test]
fn line_ends_do_not_matter() {
    let trace = campaigns().unwrap();
    let text = text(&trace).unwrap();
    assert_eq!(read(&text.replace('\n', "\r\n")).unwrap(), trace);
    assert_eq!(read(text.trim_end()).unwrap(), trace);
}

#[test]
fn every_prefix_is_refused() {
    let text = text(&campaigns().unwrap()).unwrap();
    let header = text.find('\n').unwrap();
    for length in 0..text.len() - 1 {
        let error = read(&text[..length]).unwrap_err();
        let cut_short = matches!(error.problem(), TraceProblem::CutShort { .. });
        let no_header = matches!(error.problem(), TraceProblem::NotATrace);
        assert!(if length < header { no_header } else { cut_short }, "at {length}: {error}");
    }
}

#[test]
fn every_line_dropped_doubled_or_swapped_is_refused() {
    let text = text(&campaigns().unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for at in 0..lines.len() {
        let mut dropped = lines.clone();
        dropped.remove(at);
        assert!(read(&joined(dropped)).is_err(), "accepted without line {}", at + 1);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        assert!(read(&joined(doubled)).is_err(), "accepted with line {} twice", at + 1);
        for other in 0..at {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            let what = format!("accepted with lines {} and {} swapped", at + 1, other + 1);
            assert!(read(&joined(swapped)).is_err(), "{what}");
        }
        let mut blank = lines.clone();
        blank.insert(at, "");
        assert!(read(&joined(blank)).is_err(), "accepted with a blank line {}", at + 1);
    }
}

#[test]
fn every_field_dropped_or_added_is_refused() {
    let text = text(&campaigns().unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        for field in object.keys() {
            let mut fewer = object.clone();
            fewer.remove(field);
            let fewer = serde_json::to_string(&fewer).unwrap();
            let mut changed = lines.clone();
            changed[at] = &fewer;
            assert!(read(&joined(changed)).is_err(), "accepted without {field}: {fewer}");
        }
        let more = line.replacen('{', r#"{"surplus":1,"#, 1);
        let mut changed = lines.clone();
        changed[at] = &more;
        let error = read(&joined(changed)).unwrap_err();
        assert_eq!(error.line(), at as u64 + 1);
        assert!(error.to_string().contains("unknown field `surplus`"), "{error}");
    }
}

#[test]
fn errors_say_the_line_and_what_to_do() {
    type Change = fn(&mut Vec<String>);
    let cases: &[(Change, &[&str])] = &[
        (Vec::clear, &["trace:1: not a Kontiki trace", "kontiki-trace"]),
        (|lines| lines[0] = "servers = 3".to_string(), &["trace:1: not a Kontiki trace"]),
        (
            |lines| lines[0] = lines[0].replace("kontiki-trace", "other"),
            &["trace:1: not a Kontiki trace"],
        ),
        (
            |lines| lines[0] = r#"{"format":"kontiki-trace","version":1,"new":1}"#.to_string(),
            &["trace:1: the trace has version 1, and this program reads version 7", "again"],
        ),
        (
            |lines| lines[0] = lines[0].replace("election-safety", "safety"),
            &["trace:1: wrong header line: unknown variant `safety`", "election-safety"],
        ),
        (
            |lines| lines[0] = lines[0].replace(r#""servers":3"#, r#""servers":99"#),
            &["trace:1: the header's scope is wrong: `servers` is 99", "from 1 to 7"],
        ),
        (|lines| lines[2] = "{".to_string(), &["trace:3: wrong step line: EOF", "fields step"]),
        (
            |lines| lines[2] = lines[2].replace(r#""server":2"#, r#""server":4"#),
            &["trace:3: a step of S4", "1 to 3"],
        ),
        (
            |lines| drop(lines.remove(2)),
            &["trace:3: step 3 stands where step 2 must be", "missing"],
        ),
        (
            |lines| lines[2] = lines[2].replace(r#""server":2"#, r#""server":2,"from":1"#),
            &["trace:3: the step goes on from step 1, which is no earlier step of S2", "latest"],
        ),
        (
            |lines| lines[2] = lines[2].replace(r#""server":2"#, r#""server":2,"from":2"#),
            &["trace:3: the step goes on from step 2, which is no earlier step of S2"],
        ),
        (|lines| drop(lines.pop()), &["trace:5: the trace is cut short after 3 steps", "again"]),
        (
            |lines| lines[4] = r#"{"end":true,"steps":4}"#.to_string(),
            &["trace:5: the end line counts 4 steps, but 3 were read"],
        ),
        (|lines| lines[4] = r#"{"end":false,"steps":3}"#.to_string(), &["trace:5:", "false"]),
        (|lines| lines[4] = r#"{"end":1}"#.to_string(), &["trace:5: wrong end line: ", "N is"]),
        (|lines| lines.push(String::new()), &["trace:6: something stands after the end line"]),
    ];
    for (change, parts) in cases {
        let message = error_after(change).unwrap().to_string();
        for part in *parts {
            assert!(message.contains(part), "{message}\nshould contain\n{part}");
        }
        assert!(message.contains("\n  "), "{message}\nsays nothing about what to do");
    }
}

#[test]
fn an_endless_line_is_not_kept_in_memory() {
    let endless = io::BufReader::new(io::repeat(b'['));
    let error = Trace::read(endless).unwrap_err();
    assert!(matches!(error.problem(), TraceProblem::LongLine));
    let header = text(&campaigns().unwrap()).unwrap();
    let header = header.lines().next().unwrap().to_string() + "\n";
    let endless = header.as_bytes().chain(io::BufReader::new(io::repeat(b' ')));
    let error = Trace::read(endless).unwrap_err();
    assert!(matches!(error.problem(), TraceProblem::LongLine));
    assert_eq!(error.line(), 2);
}

#[test]
fn a_reader_that_fails_is_reported() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    impl BufRead for Failing {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            Err(io::Error::other("the disk is gone"))
        }
        fn consume(&mut self, _: usize) {}
    }
    let error = Trace::read(Failing).unwrap_err();
    assert_eq!(error.to_string(), "trace:1: cannot be read: the disk is gone");
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let good = campaigns().unwrap();
    let mut foreign = good.clone();
    foreign.steps[0].server = ServerId(4);
    let mut flawed = good.clone();
    flawed.header.scope.voters = 9;
    let mut long = good.clone();
    long.header.about = "x".repeat(MAX_LINE_BYTES as usize);
    for trace in [foreign, flawed, long] {
        let error = trace.write(io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

quickcheck! {
    fn written_and_read_is_the_same(trace: AnyTrace) -> TestResult {
        let Ok(text) = text(&trace.0) else { return TestResult::error("not written") };
        match read(&text) {
            Ok(again) => TestResult::from_bool(again == trace.0),
            Err(error) => TestResult::error(error.to_string()),
        }
    }

    fn a_dropped_line_is_refused(trace: AnyTrace, at: usize) -> TestResult {
        let Ok(text) = text(&trace.0) else { return TestResult::error("not written") };
        let mut lines: Vec<_> = text.lines().collect();
        lines.remove(at % lines.len());
        TestResult::from_bool(read(&joined(lines)).is_err())
    }

    fn random_bytes_never_panic(bytes: Vec<u8>) -> bool {
        Trace::read(bytes.as_slice()).is_err()
    }

    fn a_changed_byte_never_panics(trace: AnyTrace, at: usize, byte: u8) -> bool {
        let mut bytes = Vec::new();
        let written = trace.0.write(&mut bytes).is_ok();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Trace::read(bytes.as_slice());
        let _ = Trace::read(&bytes[at..]);
        written
    }
}

/// Commands are written as text where they are text. Lists of bytes are read as well.
#[test]
fn commands_are_text_where_they_can_be() {
    let propose = |commands: &[&'static [u8]]| Input::Propose {
        commands: commands.iter().map(|command| Bytes::from_static(command)).collect(),
    };
    let written = propose(&[b"x=\"1\"", b"\xff\0", b""]);
    let json = serde_json::to_string(&written).unwrap();
    assert_eq!(json, r#"{"propose":{"commands":["x=\"1\"",[255,0],""]}}"#);
    assert_eq!(serde_json::from_str::<Input>(&json).unwrap(), written);
    let bytes = r#"{"propose":{"commands":[[120,61,49]]}}"#;
    assert_eq!(serde_json::from_str::<Input>(bytes).unwrap(), propose(&[b"x=1"]));
    for wrong in ["7", "[256]", "[\"x\"]", "null"] {
        let json = format!(r#"{{"propose":{{"commands":[{wrong}]}}}}"#);
        assert!(serde_json::from_str::<Input>(&json).is_err(), "{wrong}");
    }
}
