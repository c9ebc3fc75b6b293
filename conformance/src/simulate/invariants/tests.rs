//! Each invariant is seen to break.

use super::*;
use kontiki::core::Config;
use kontiki::storage::HardState;
use kontiki_specs::{Configuration, Entry, Message, Payload, Snapshot, SnapshotId};

fn entry(index: u64, term: u64, command: &'static [u8]) -> Entry {
    let payload = Payload::Command(command.into());
    Entry { index: LogIndex(index), term: Term(term), payload }
}

fn write(first: u64, entries: Vec<Entry>) -> Output {
    let (leader_term, first_index) = (Term(9), LogIndex(first));
    Output::WriteEntries { incarnation: 0, leader_term, first_index, entries: entries.into() }
}

fn server(id: u64, disk: Vec<Entry>) -> Implementation {
    let hard_state = HardState { term: Term(9), vote: Some(ServerId(1)) };
    let config = Config::new(ServerId(id), (1..=3).map(ServerId));
    Implementation::recover(config, MemoryStore::with(hard_state, disk)).unwrap()
}

/// What is broken by such outputs, of the server in that place and one after the other.
fn broken(servers: &[Implementation], steps: &[(usize, Output)]) -> Option<Invariant> {
    let mut invariants = Invariants::new(&Parameters::plain(servers.len() as u64));
    steps.iter().find_map(|(place, output)| {
        let all = |place: usize| servers.get(place);
        let taken = Taken {
            place: *place,
            role: RoleKind::Follower,
            transfers_to: None,
            heirs: &[],
            was_told: false,
            received: None,
            was_taking: false,
            in_round: 0,
            had_lease: false,
            has_lease: false,
            input: &Input::HeartbeatTimeout,
            outputs: std::slice::from_ref(output),
            contents: &[Content::default()],
        };
        match invariants.check(&taken, all) {
            Ok(()) => None,
            Err(problem) => match *problem {
                Problem::Broken { invariant, .. } => Some(invariant),
                other => panic!("{other}"),
            },
        }
    })
}

fn cluster() -> Vec<Implementation> {
    (1..=3).map(|id| server(id, Vec::new())).collect()
}

#[test]
fn logs_that_part_match_nowhere_behind() {
    let same = write(1, vec![entry(1, 1, b"a"), entry(2, 2, b"b")]);
    assert_eq!(broken(&cluster(), &[(0, same.clone()), (1, same.clone())]), None);
    let other_content = write(1, vec![entry(1, 1, b"c")]);
    let other_past = write(1, vec![entry(1, 2, b"a"), entry(2, 2, b"b")]);
    let gap = write(2, vec![entry(2, 2, b"b")]);
    for other in [other_content, other_past, gap] {
        let found = broken(&cluster(), &[(0, same.clone()), (1, other)]);
        assert_eq!(found, Some(Invariant::LogMatching));
    }
}

#[test]
fn a_leader_needs_votes_on_disk_and_is_alone() {
    let leads = || Output::RoleChanged { role: RoleKind::Leader };
    assert_eq!(broken(&cluster(), &[(0, leads())]), None);
    assert_eq!(broken(&cluster(), &[(1, leads())]), Some(Invariant::VotesOnDisk));
    let twice = [(0, leads()), (0, leads())];
    assert_eq!(broken(&cluster(), &twice), Some(Invariant::OneLeader));
}

#[test]
fn what_is_applied_is_in_order_and_committed() {
    let apply = |index| Output::Apply { entries: vec![entry(index, 1, b"a")].into() };
    let found = broken(&cluster(), &[(0, apply(2))]);
    assert_eq!(found, Some(Invariant::AppliedInOrder));
    // In order, but the server does not say that it is committed.
    let found = broken(&cluster(), &[(0, apply(1))]);
    assert_eq!(found, Some(Invariant::AppliedInOrder));
}

#[test]
fn what_is_sent_is_what_the_log_holds() {
    let log = [entry(1, 1, b"a"), entry(2, 1, b"b"), entry(3, 2, b"c")];
    let sends = |prev: LogPosition, entries: &[Entry]| {
        let (term, commit_index) = (Term(9), LogIndex::ZERO);
        let entries = entries.into();
        let message = Message::AppendEntries { term, prev, entries, commit_index };
        let send = Output::Send { to: ServerId(2), message };
        broken(&cluster(), &[(0, write(1, log.to_vec())), (0, send)])
    };
    let first = log[0].position();
    for (prev, entries) in
        [(LogPosition::default(), &log[..]), (first, &log[1..2]), (log[2].position(), &[])]
    {
        assert_eq!(sends(prev, entries), None);
    }
    let lacks_one = [log[0].clone(), log[2].clone()];
    let other = [entry(2, 1, b"x")];
    let beyond = LogPosition { index: LogIndex(4), term: Term(2) };
    for (prev, entries) in [
        (LogPosition::default(), &lacks_one[..]),
        (first, &log[2..]),
        (first, &other),
        (LogPosition { term: Term(2), ..first }, &log[1..]),
        (beyond, &[]),
    ] {
        assert_eq!(sends(prev, entries), Some(Invariant::SentFromLog));
    }
}

/// What is broken when a server applies an entry, executed as it should be.
fn applies(
    invariants: &mut Invariants,
    place: usize,
    entry: &Entry,
    term: u64,
) -> Option<Invariant> {
    let before = entry.index.previous();
    let before = invariants.committed_at(before).map(|before| before.content).unwrap_or_default();
    let applied = invariants.applies(place, entry, before.after(entry, None), Term(term));
    applied.err().map(|(invariant, _)| invariant)
}

#[test]
fn there_is_one_history() {
    let mut invariants = Invariants::new(&Parameters::plain(3));
    assert_eq!(applies(&mut invariants, 0, &entry(1, 1, b"a"), 1), None);
    assert_eq!(applies(&mut invariants, 1, &entry(1, 1, b"a"), 1), None);
    let other_term = applies(&mut invariants, 2, &entry(1, 2, b"a"), 2);
    assert_eq!(other_term, Some(Invariant::OneHistory));
    let mut invariants = Invariants::new(&Parameters::plain(3));
    assert_eq!(applies(&mut invariants, 0, &entry(1, 1, b"a"), 1), None);
    let other_content = applies(&mut invariants, 1, &entry(1, 1, b"b"), 1);
    assert_eq!(other_content, Some(Invariant::SameContent));
}

fn snapshot(index: u64, term: u64) -> Snapshot {
    let last = LogPosition { index: LogIndex(index), term: Term(term) };
    Snapshot {
        id: SnapshotId { last, taken_by: ServerId(1) },
        configuration: Configuration::of_voters((1..=3).map(ServerId)),
        configuration_position: LogPosition::default(),
        size: 1,
    }
}

#[test]
fn a_snapshot_is_of_what_is_committed() {
    let mut invariants = Invariants::new(&Parameters::plain(3));
    assert_eq!(applies(&mut invariants, 0, &entry(1, 1, b"a"), 1), None);
    let content = invariants.committed_at(LogIndex(1)).map(|first| first.content).unwrap();
    let mut goes_on = |snapshot: &Snapshot, content| {
        let goes_on = invariants.goes_on_from(1, snapshot, content);
        goes_on.err().map(|(invariant, _)| invariant)
    };
    assert_eq!(goes_on(&snapshot(1, 1), content), None);
    assert_eq!(goes_on(&snapshot(1, 1), Content::default()), Some(Invariant::SameContent));
    for other in [snapshot(2, 1), snapshot(1, 2)] {
        assert_eq!(goes_on(&other, content), Some(Invariant::SnapshotOfCommitted));
    }
    let configuration = Configuration::of_voters([ServerId(1)]);
    let other = Snapshot { configuration, ..snapshot(1, 1) };
    assert_eq!(goes_on(&other, content), Some(Invariant::SnapshotOfCommitted));
    // The server that goes on from it has applied what it covers.
    assert_eq!(applies(&mut invariants, 1, &entry(2, 1, b"b"), 1), None);
}

#[test]
fn what_is_let_go_of_is_covered() {
    let found = broken(&cluster(), &[(0, Output::DropEntries { through: LogIndex(1) })]);
    assert_eq!(found, Some(Invariant::NothingLetGoUncovered));
    let mut disk = MemoryStore::with(HardState::default(), vec![entry(1, 1, b"a")]);
    disk.write(&Output::DropEntries { through: LogIndex(1) });
    let mut invariants = Invariants::new(&Parameters::plain(3));
    let found = invariants.look_at_disk(0, Some(&disk)).err().map(|(invariant, _)| invariant);
    assert_eq!(found, Some(Invariant::NothingLetGoUncovered));
}

#[test]
fn leaders_hold_what_was_committed_before_them() {
    let mut invariants = Invariants::new(&Parameters::plain(3));
    assert_eq!(applies(&mut invariants, 0, &entry(1, 2, b"a"), 2), None);
    let lacks = |term| {
        let holds = invariants.holds_history(1, ServerId(2), Term(term));
        holds.map_err(|(invariant, _)| invariant)
    };
    assert_eq!(lacks(1), Ok(()));
    assert_eq!(lacks(2), Ok(()));
    assert_eq!(lacks(3), Err(Invariant::LeaderCompleteness));
}

#[test]
fn what_is_committed_is_on_a_majority_of_disks() {
    let committed = vec![entry(1, 2, b"a")];
    for (holders, on_disks) in [(1, false), (2, true), (3, true)] {
        let mut invariants = Invariants::new(&Parameters::plain(3));
        assert_eq!(applies(&mut invariants, 0, &committed[0], 2), None);
        let quorums = invariants.memberships.in_force(0).map(|known| known.quorums);
        invariants.note_commits(0, quorums);
        for place in 0..holders {
            let one = server(1, committed.clone());
            assert_eq!(invariants.look_at_disk(place, Some(one.raft().store())), Ok(()));
        }
        assert_eq!(invariants.committed_is_on_disks().is_ok(), on_disks);
    }
}
