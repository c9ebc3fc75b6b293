//! What a server receives was sent to it, or the judge says that it was not.

use crate::recorded::{IDS, Recorded, judged_together};
use kontiki_conformance::real_runs::{Agreement, Fault, RunFault};
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::core::Config;
use kontiki_node::kontiki::storage::{HardState, MemoryStore};
use kontiki_node::kontiki::{
    Configuration, Entry, Input, LogIndex, LogPosition, Message, Output, Payload, ServerId,
    Snapshot, SnapshotId, Term,
};
use std::collections::BTreeMap;

/// A leader sends its snapshot to a server that has nothing. In the end that server receives what the leader
/// has not sent, if there is anything. Both recordings are judged together.
fn sends_its_snapshot(
    leader: ServerId,
    follower: ServerId,
    forged: Option<&dyn Fn(&Snapshot) -> Message>,
) -> Result<Agreement, Box<RunFault>> {
    let last = LogPosition { index: LogIndex(3), term: Term(1) };
    let snapshot = Snapshot {
        id: SnapshotId { last, taken_by: leader },
        configuration: Configuration::of_voters(IDS),
        configuration_position: LogPosition::default(),
        size: 10,
    };
    let payload = Payload::Noop;
    let log = (1..=3).map(|index| Entry {
        term: Term(1),
        index: LogIndex(index),
        payload: payload.clone(),
    });
    let mut disk = MemoryStore::with(HardState { term: Term(2), vote: None }, log.collect());
    disk.keep_snapshot(snapshot.clone(), Bytes::from_static(b"0123456789"));
    disk.write(&Output::DropEntries { through: last.index });
    let mut servers = BTreeMap::from([
        (leader, Recorded::begin(Config::new(leader, IDS), disk)),
        (follower, Recorded::begin(Config::new(follower, IDS), MemoryStore::new())),
    ]);
    servers.get_mut(&leader).unwrap().0.take(Input::ElectionTimeout);
    while let Some(from) = servers.keys().copied().find(|id| !servers[id].0.sent.is_empty()) {
        let (to, message) = servers.get_mut(&from).unwrap().0.sent.remove(0);
        if let Some((receiver, _)) = servers.get_mut(&to) {
            receiver.take(Input::Deliver { from, message });
        }
    }
    assert_eq!(servers[&follower].0.raft.snapshot(), Some(&snapshot));
    if let Some(forged) = forged {
        let (receiver, _) = servers.get_mut(&follower).unwrap();
        receiver.take(Input::Deliver { from: leader, message: forged(&snapshot) });
    }
    let recordings: Vec<(ServerId, Vec<Vec<u8>>)> = servers
        .into_iter()
        .map(|(id, (mut server, written))| {
            server.recorder.end();
            (id, written.take())
        })
        .collect();
    let recordings: Vec<(ServerId, &[Vec<u8>])> =
        recordings.iter().map(|(id, files)| (*id, files.as_slice())).collect();
    judged_together(&recordings)
}

/// Whoever of the two is followed first.
#[test]
fn what_was_never_sent_is_noticed_chunks_of_snapshots_too() {
    let term = Term(3);
    let chunk = |term, offset, data: &'static [u8]| {
        move |snapshot: &Snapshot| Message::InstallSnapshot {
            term: Term(term),
            snapshot: Box::new(snapshot.clone()),
            offset,
            data: Bytes::from_static(data),
        }
    };
    for (leader, follower) in [(IDS[0], IDS[1]), (IDS[1], IDS[0])] {
        let agreement = sends_its_snapshot(leader, follower, None);
        let agreement = agreement.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(agreement.servers[&follower].snapshots_installed, 1);
        assert!(agreement.judged.messages_found > 8, "{:?}", agreement.judged);
        // What the leader has sent may come again.
        sends_its_snapshot(leader, follower, Some(&chunk(3, 4, b"4567"))).unwrap();
        let forged: [&dyn Fn(&Snapshot) -> Message; 4] = [
            &chunk(3, 5, b"567"),
            &chunk(2, 4, b"4567"),
            &|_| Message::ConfirmLeadership { term, round: 77 },
            &|_| Message::LaterTerm { term },
        ];
        for (number, forged) in forged.into_iter().enumerate() {
            let fault = sends_its_snapshot(leader, follower, Some(forged)).unwrap_err();
            let fault = match *fault {
                RunFault::At { fault, .. } | RunFault::Between { fault, .. } => fault,
                other => panic!("{number}: {other}"),
            };
            assert!(
                matches!(fault, Fault::NeverSent { from } if from == leader),
                "{number}: {fault}"
            );
        }
    }
}
