//! A server votes once in a term. A vote that a crash keeps from the disk was told nobody, and is none.

use crate::recorded::{Files, IDS, Recorded, judged_together};
use kontiki_node::kontiki::core::{Config, Outputs, Raft};
use kontiki_node::kontiki::driver::Observer;
use kontiki_node::kontiki::storage::MemoryStore;
use kontiki_node::kontiki::{Input, LogPosition, Message, Recorder, Term};
use std::rc::Rc;

/// Server 1 is to vote for itself. Its process is killed when that is on disk, or before. Then it votes for
/// server 2 in the same term: rightly, if it knows nothing of the other vote, and wrongly, if its disk has been
/// replaced.
fn judged(is_on_disk: bool) -> Result<(), String> {
    let (mut server, written) = Recorded::begin(Config::new(IDS[0], IDS), MemoryStore::new());
    let deliver = |message| Input::Deliver { from: IDS[1], message };
    server.take(Input::ElectionTimeout);
    let may_campaign = deliver(Message::RequestPreVoteReply { term: Term(0), granted: true });
    if is_on_disk {
        server.take(may_campaign);
    } else {
        let mut outputs = Outputs::new();
        server.raft.step(may_campaign.clone(), &mut outputs).unwrap();
        server.recorder.stepped(&server.raft, may_campaign, &outputs, None);
    }
    assert_eq!(server.raft.term(), Term(1));
    server.recorder.flush();
    drop(server);
    let config = Config { incarnation: 1, ..Config::new(IDS[0], IDS) };
    let raft = Raft::start(config, MemoryStore::new()).unwrap();
    let recorder = Recorder::begin(&raft, Files(Rc::clone(&written))).unwrap();
    let mut server = Recorded { raft, recorder, sent: Vec::new() };
    let last = LogPosition::default();
    server.take(deliver(Message::RequestVote { term: Term(1), last, transfer: false }));
    let granted = Message::RequestVoteReply { term: Term(1), granted: true };
    assert!(server.sent.contains(&(IDS[1], granted)), "{:?}", server.sent);
    server.recorder.end();
    let files = written.take();
    judged_together(&[(IDS[0], &files)]).map(drop).map_err(|fault| fault.to_string())
}

#[test]
fn a_vote_that_never_reached_the_disk_does_not_count() {
    assert_eq!(judged(false), Ok(()));
}

#[test]
fn a_vote_that_was_on_disk_is_not_taken_back() {
    let fault = judged(true).unwrap_err();
    println!("{fault}");
    assert!(fault.contains("vote"), "{fault}");
}
