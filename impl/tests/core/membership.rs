//! Changes of membership as an operator sees them (M1 to M8, M10), in small clusters.

use crate::cluster::Cluster;
use crate::support::{
    S1, S2, at, config, deliver, leader, matched, propose, refused, start, step, vote,
};
use kontiki::core::{Config, Raft, Rejection, StepError};
use kontiki::storage::MemoryStore;
use kontiki::{
    AppendOutcome, Configuration, Entries, Entry, Input, LogIndex, LogPosition, MembershipChange,
    Message, Output, Payload, Refusal, RoleKind, ServerId, Term,
};

fn any_voter(config: &mut Config) {
    config.catch_up_rounds = 0;
}

/// A server alone becomes three, each first a learner, and commits without one of them (M5, M8).
#[test]
fn a_cluster_grows_by_learners() {
    let mut cluster = Cluster::new(1, 2, |_| {});
    cluster.elect(1);
    for joiner in [2, 3] {
        let promotion = format!("add-voter {joiner}");
        let not_yet = Refusal::NotCaughtUp { server: ServerId(joiner) };
        assert_eq!(cluster.change(1, &promotion), Some(not_yet));
        assert_eq!(cluster.change(1, &format!("add-learner {joiner}")), None);
        assert!(cluster.has_said(1, &Output::CaughtUp { server: ServerId(joiner) }));
        assert_eq!(cluster.change(1, &promotion), None);
    }
    cluster.heartbeat(1);
    for server in [1, 2, 3] {
        assert_eq!(cluster.shown(server), "{S1 S2 S3}");
        assert_eq!(cluster.server(server).commit_index(), LogIndex(5));
    }
    cluster.stop(2);
    cluster.happen(1, Input::Propose { commands: vec![b"x".as_slice().into()] });
    assert_eq!(cluster.server(1).commit_index(), LogIndex(6));
    cluster.stop(3);
    cluster.happen(1, Input::Propose { commands: vec![b"y".as_slice().into()] });
    assert_eq!(cluster.server(1).commit_index(), LogIndex(6), "one of three is no majority");
}

/// All servers are replaced at once. The leader is none of the new, and one of those leads
/// after (M1, M4).
#[test]
fn a_cluster_moves_to_other_servers() {
    let mut cluster = Cluster::new(2, 2, any_voter);
    cluster.elect(1);
    assert_eq!(cluster.change(1, "replace 3 4"), None);
    assert_eq!(cluster.shown(3), "{S3 S4}");
    assert_eq!(cluster.server(1).role(), RoleKind::Follower);
    let leaders = cluster.leaders();
    assert!(matches!(leaders[..], [3 | 4]), "{leaders:?}");
    cluster.heartbeat(leaders[0]);
    assert_eq!(cluster.server(3).commit_index(), cluster.server(4).commit_index());
    // S1 knows that it is out for good. S2, which does not, cannot depose the new leader.
    for outside in [1, 2] {
        cluster.happen(outside, Input::LeaderContactExpired);
        cluster.happen(outside, Input::ElectionTimeout);
        assert_eq!(cluster.leaders(), leaders, "S{outside} disturbs");
    }
    assert_eq!(cluster.server(1).role(), RoleKind::Follower);
}

/// The joint configuration needs both majorities, and the leader of it may be lost (M3).
#[test]
fn a_change_whose_leader_is_lost_is_finished_by_another() {
    let mut cluster = Cluster::new(3, 2, any_voter);
    cluster.elect(1);
    cluster.stop(4);
    cluster.stop(5);
    assert_eq!(cluster.change(1, "replace 1 4 5"), None);
    assert_eq!(cluster.shown(2), "{S1 S2 S3}→{S1 S4 S5}");
    let index = cluster.server(1).configuration_index();
    assert!(cluster.server(1).commit_index() < index, "the new servers have it not");
    assert_eq!(cluster.change(1, "remove 2"), Some(Refusal::ChangePending { index }));
    cluster.stop(1);
    cluster.campaign(2);
    assert!(cluster.leaders().is_empty(), "no majority of the new servers is there");
    cluster.resume(4, false);
    cluster.resume(5, true);
    cluster.campaign(3);
    // S3 finds C(old,new) pending, commits it with its no-op, appends C(new), and goes.
    assert_eq!(cluster.shown(4), "{S1 S4 S5}");
    let leaders = cluster.leaders();
    assert!(matches!(leaders[..], [4 | 5]), "{leaders:?}");
    cluster.resume(1, true);
    cluster.heartbeat(leaders[0]);
    assert_eq!(cluster.shown(1), "{S1 S4 S5}");
}

/// A leader taken out counts only the others, steps down when they have it, and hands over (M4).
#[test]
fn a_leader_takes_itself_out() {
    let mut cluster = Cluster::new(3, 0, |_| {});
    cluster.elect(1);
    cluster.stop(3);
    assert_eq!(cluster.change(1, "remove 1"), None);
    assert_eq!(cluster.shown(1), "{S2 S3}");
    assert_eq!(cluster.server(1).role(), RoleKind::Leader);
    assert!(cluster.server(1).commit_index() < LogIndex(2), "S1 and S2 are one of {{S2 S3}}");
    cluster.resume(3, false);
    cluster.heartbeat(1);
    assert_eq!(cluster.server(1).role(), RoleKind::Follower);
    assert!(cluster.server(1).commit_index() >= LogIndex(2));
    assert_eq!(cluster.leaders(), [3], "whose acknowledgement was the last that was missing");
    assert_eq!(cluster.server(3).term(), Term(2));
    cluster.happen(1, Input::ElectionTimeout);
    assert_eq!(cluster.server(1).role(), RoleKind::Follower, "it knows that it has no vote");
}

/// A server that is down takes no part in its own removal, and is not needed any more (M8).
#[test]
fn a_server_that_is_down_is_taken_out_and_in_again() {
    let mut cluster = Cluster::new(2, 0, any_voter);
    cluster.elect(1);
    cluster.stop(2);
    assert_eq!(cluster.change(1, "remove 2"), None);
    assert_eq!(cluster.server(1).commit_index(), LogIndex(2), "one of one");
    cluster.resume(2, true);
    assert_eq!(cluster.shown(2), "{S1 S2}");
    assert_eq!(cluster.change(1, "add-voter 2"), None);
    assert_eq!(cluster.server(1).commit_index(), LogIndex(3));
    assert_eq!(cluster.shown(2), "{S1 S2}");
    assert_eq!(cluster.server(2).configuration_index(), LogIndex(3));
}

/// A configuration that is truncated is in force no longer (M2).
#[test]
fn a_change_that_reached_nobody_is_taken_back() {
    let mut cluster = Cluster::new(3, 1, any_voter);
    cluster.elect(1);
    for server in [2, 3, 4] {
        cluster.stop(server);
    }
    assert_eq!(cluster.change(1, "add-voter 4"), None);
    assert_eq!(cluster.shown(1), "{S1 S2 S3 S4}");
    cluster.stop(1);
    cluster.resume(2, false);
    cluster.resume(3, false);
    cluster.elect(2);
    cluster.resume(1, true);
    assert_eq!(cluster.shown(1), "{S1 S2 S3 S4}", "as its disk has it");
    cluster.heartbeat(2); // It does not answer this one: the term is not on its disk yet.
    cluster.heartbeat(2);
    assert_eq!(cluster.shown(1), "{S1 S2 S3}");
    assert_eq!(cluster.server(1).configuration_index(), LogIndex::ZERO);
}

/// The rule of 2015 (M6).
#[test]
fn a_single_change_waits_for_a_commit_in_the_leaders_term() {
    let raft = &mut start(config());
    step(raft, Input::ElectionTimeout);
    step(raft, deliver(S2, vote(1)));
    assert_eq!(raft.role(), RoleKind::Leader);
    let asked = |raft: &mut _, change: &str| {
        let change = change.parse().unwrap();
        step(raft, Input::ChangeMembership { change, expected: None })
    };
    let refused = [Output::Refused { refusal: Refusal::NothingCommittedInTerm }];
    for change in ["remove 3", "demote 3", "add-learner 4", "add-voter 4"] {
        assert_eq!(asked(raft, change), refused, "{change}");
    }
    assert_eq!(raft.last_index(), LogIndex(1));
    step(raft, deliver(S2, matched(1, 1)));
    assert_ne!(asked(raft, "remove 3"), refused);
    assert_eq!(raft.configuration(), &Configuration::of_voters([S1, S2]));
}

/// Each is refused with its reason, and nothing is appended (M7, M10).
#[test]
fn changes_that_make_no_sense() {
    let mut cluster = Cluster::new(3, 2, any_voter);
    cluster.elect(1);
    assert_eq!(cluster.change(1, "add-learner 4"), None);
    let server = ServerId;
    let cases = [
        ("add-learner 4", Refusal::Duplicate { server: server(4) }),
        ("add-learner 2", Refusal::LearnerIsVoter { server: server(2) }),
        ("add-voter 2", Refusal::Duplicate { server: server(2) }),
        ("demote 4", Refusal::Duplicate { server: server(4) }),
        ("demote 5", Refusal::UnknownServer { server: server(5) }),
        ("remove 5", Refusal::UnknownServer { server: server(5) }),
        ("replace 1 2 2", Refusal::Duplicate { server: server(2) }),
        ("replace 1 learners 5 5", Refusal::Duplicate { server: server(5) }),
        ("replace 1 2 learners 2", Refusal::LearnerIsVoter { server: server(2) }),
        ("replace 3 2 1 learners 4", Refusal::NothingToChange),
    ];
    for (change, refusal) in cases {
        assert_eq!(cluster.change(1, change), Some(refusal), "{change}");
        assert_eq!(cluster.server(1).last_index(), LogIndex(2), "{change}");
    }
    let leader = Some(S1);
    assert_eq!(cluster.change(2, "remove 3"), Some(Refusal::NotLeader { leader }));
    let empty = MembershipChange::Replace { voters: Vec::new(), learners: Vec::new() };
    cluster.happen(1, Input::ChangeMembership { change: empty, expected: None });
    assert_eq!(cluster.refusal(1), Some(Refusal::NoVoters));
    let mut alone = Cluster::new(1, 0, any_voter);
    alone.elect(1);
    for change in ["remove 1", "demote 1"] {
        assert_eq!(alone.change(1, change), Some(Refusal::NoVoters), "{change}");
    }
}

/// An operator may say which configuration a change is meant for (M10).
#[test]
fn a_change_meant_for_another_configuration() {
    let mut cluster = Cluster::new(3, 0, |_| {});
    cluster.elect(1);
    let remove = |server: u64, expected: LogPosition| Input::ChangeMembership {
        change: MembershipChange::Remove(ServerId(server)),
        expected: Some(expected),
    };
    cluster.happen(1, remove(3, at(1, 1)));
    let other = |position| Some(Refusal::OtherConfiguration { position });
    assert_eq!(cluster.refusal(1), other(at(0, 0)));
    cluster.happen(1, remove(3, at(0, 0)));
    assert_eq!(cluster.shown(1), "{S1 S2}");
    assert_eq!(cluster.change(1, "remove 3"), Some(Refusal::UnknownServer { server: ServerId(3) }));
    // Another leader may have had another configuration at the same index.
    cluster.happen(1, remove(2, at(2, 2)));
    assert_eq!(cluster.refusal(1), other(at(2, 1)));
    assert_eq!(cluster.shown(1), "{S1 S2}");
    cluster.happen(1, remove(2, at(2, 1)));
    assert_eq!(cluster.shown(1), "{S1}");
}

/// Votes and acknowledgements count only from servers that have a vote, in the candidate's own
/// configuration; and a learner gives its vote to whoever asks (E5, M5).
#[test]
fn who_counts() {
    let mut config = config();
    config.bootstrap.as_mut().unwrap().learners.insert(ServerId(4));
    let raft = &mut start(config.clone());
    step(raft, Input::ElectionTimeout);
    for other in [4, 9] {
        step(raft, deliver(ServerId(other), vote(1)));
        assert_eq!(raft.role(), RoleKind::Candidate, "S{other} has no vote");
    }
    step(raft, deliver(S2, vote(1)));
    step(raft, deliver(ServerId(4), matched(1, 1)));
    assert_eq!(raft.commit_index(), LogIndex::ZERO);
    step(raft, deliver(S2, matched(1, 1)));
    assert_eq!(raft.commit_index(), LogIndex(1));
    config.id = ServerId(4);
    let learner = &mut start(config);
    step(learner, Input::ElectionTimeout);
    assert_eq!(learner.role(), RoleKind::Follower, "a learner does not campaign");
    let request = Message::RequestVote { term: Term(1), last: at(0, 0), transfer: false };
    let granted = Output::Send { to: S2, message: vote(1) };
    assert!(step(learner, deliver(S2, request)).contains(&granted));
}

/// A learner that never keeps up is reported once in each number of rounds (M5).
#[test]
fn a_learner_that_is_too_slow() {
    let mut config = config();
    config.catch_up_rounds = 3;
    let raft = &mut leader(config);
    let learner = ServerId(4);
    let change = MembershipChange::AddLearner(learner);
    step(raft, Input::ChangeMembership { change, expected: None });
    step(raft, deliver(S2, matched(1, 2)));
    let mut slow = Vec::new();
    for _ in 1..=7 {
        step(raft, Input::QuorumContactExpired);
        let before = raft.last_index().0;
        step(raft, Input::Propose { commands: vec![vec![b'x'].into()] });
        step(raft, deliver(S2, matched(1, before + 1)));
        let outputs = step(raft, deliver(learner, matched(1, before)));
        slow.push(outputs.contains(&Output::TooSlow { server: learner }));
    }
    assert_eq!(slow, [false, false, true, false, false, true, false]);
    // A round within an election timeout is enough.
    let outputs = step(raft, deliver(learner, matched(1, raft.last_index().0)));
    assert!(outputs.contains(&Output::CaughtUp { server: learner }));
    let change = MembershipChange::AddVoter(learner);
    let outputs = step(raft, Input::ChangeMembership { change, expected: None });
    assert!(outputs.iter().any(|output| matches!(output, Output::Proposed { .. })));
}

/// A learner that had caught up and was down since is not made a voter before it has caught up
/// again (M5).
#[test]
fn a_learner_that_falls_behind() {
    let raft = &mut leader(config());
    let learner = ServerId(4);
    let change = MembershipChange::AddLearner(learner);
    step(raft, Input::ChangeMembership { change, expected: None });
    step(raft, deliver(S2, matched(1, 2)));
    let caught_up = Output::CaughtUp { server: learner };
    assert!(step(raft, deliver(learner, matched(1, 2))).contains(&caught_up));
    let promote = |raft: &mut Raft<MemoryStore>| {
        let change = MembershipChange::AddVoter(learner);
        let outputs = step(raft, Input::ChangeMembership { change, expected: None });
        outputs.contains(&Output::Refused { refusal: Refusal::NotCaughtUp { server: learner } })
    };
    for _ in 0..2 {
        step(raft, propose(&[1]));
        step(raft, deliver(S2, matched(1, raft.last_index().0)));
        step(raft, Input::QuorumContactExpired);
    }
    assert!(promote(raft), "it lacks what was there an election timeout ago");
    let last_index = raft.last_index().0;
    assert!(step(raft, deliver(learner, matched(1, last_index))).contains(&caught_up));
    // It keeps up, and lacks only what is new.
    step(raft, Input::QuorumContactExpired);
    step(raft, propose(&[1]));
    step(raft, deliver(S2, matched(1, raft.last_index().0)));
    assert!(!promote(raft));
}

/// A learner that came late has caught up when it lacks nothing, though nothing more is
/// proposed (M5).
#[test]
fn a_learner_that_comes_late_to_an_idle_cluster() {
    let mut cluster = Cluster::new(1, 1, |_| {});
    cluster.elect(1);
    cluster.stop(2);
    assert_eq!(cluster.change(1, "add-learner 2"), None);
    for _ in 0..3 {
        cluster.happen(1, Input::QuorumContactExpired);
    }
    cluster.resume(2, true);
    cluster.heartbeat(1);
    assert!(cluster.has_said(1, &Output::CaughtUp { server: S2 }));
    assert_eq!(cluster.change(1, "add-voter 2"), None);
}

/// A voter that has only just been added has had no time to answer (E9).
#[test]
fn a_quorum_check_right_after_a_voter_is_added() {
    let mut cluster = Cluster::new(1, 1, any_voter);
    cluster.elect(1);
    cluster.stop(2);
    assert_eq!(cluster.change(1, "add-voter 2"), None);
    cluster.happen(1, Input::QuorumContactExpired);
    assert_eq!(cluster.server(1).role(), RoleKind::Leader);
    cluster.happen(1, Input::QuorumContactExpired);
    assert_eq!(cluster.server(1).role(), RoleKind::Follower, "by now it has had time");
}

/// Nothing is sent to a server that is out, and what it says changes nothing (M4).
#[test]
fn a_server_that_is_out_is_left_alone() {
    let raft = &mut leader(config());
    let change = MembershipChange::Remove(ServerId(3));
    let sends_to_it = |outputs: &[Output]| {
        outputs.iter().any(|output| matches!(output, Output::Send { to: ServerId(3), .. }))
    };
    let outputs = step(raft, Input::ChangeMembership { change, expected: None });
    assert!(!sends_to_it(&outputs));
    assert!(!sends_to_it(&step(raft, Input::HeartbeatTimeout)));
    let before = raft.clone();
    let outcome = AppendOutcome::Mismatch { prev_index: LogIndex(1), hint: at(0, 0) };
    let late = Message::AppendEntriesReply { term: Term(1), outcome };
    assert_eq!(step(raft, deliver(ServerId(3), late)), []);
    assert!(*raft == before);
}

#[test]
fn a_configuration_that_no_leader_appends_is_rejected() {
    let raft = &mut start(config());
    let with = |configuration| {
        let payload = Payload::Configuration(configuration);
        let entries: Entries =
            [Entry { term: Term(1), index: LogIndex(1), payload }].into_iter().collect();
        let (term, prev, commit_index) = (Term(1), at(0, 0), LogIndex::ZERO);
        deliver(S2, Message::AppendEntries { term, prev, entries, commit_index })
    };
    let mut both = Configuration::of_voters([S1, S2]);
    both.learners.insert(S2);
    for impossible in [Configuration::default(), both] {
        let reason = Rejection::ImpossibleConfiguration { index: LogIndex(1) };
        assert_eq!(refused(raft, with(impossible)), StepError::Rejected(reason));
    }
    step(raft, with(Configuration::of_voters([S2])));
    assert_eq!(raft.configuration().to_string(), "{S2}");
}

/// A restarted server goes by what its disk holds, and says so (M2).
#[test]
fn a_restart_finds_the_configuration_on_disk() {
    let mut raft = leader(config());
    for (change, shown) in [("add-learner 4", "{S1 S2 S3 +S4}"), ("remove 3", "{S1 S2 +S4}")] {
        let change = change.parse().unwrap();
        step(&mut raft, Input::ChangeMembership { change, expected: None });
        let last = raft.last_index();
        step(&mut raft, deliver(S2, matched(1, last.0)));
        assert_eq!(raft.commit_index(), last);
        let again = Raft::start(raft.config().clone(), raft.store().clone()).unwrap();
        assert_eq!(again.configuration().to_string(), shown);
        assert_eq!(again.configuration_index(), last);
    }
}

/// The log has let go of all that came before a server joins: it is sent the snapshot, and with that
/// whom the cluster consists of (rule S2).
#[test]
fn a_server_joins_by_a_snapshot() {
    let mut cluster = Cluster::new(1, 2, |config| config.kept_entries = 0);
    cluster.elect(1);
    assert_eq!(cluster.change(1, "add-learner 2"), None);
    cluster.snapshot(1);
    assert_eq!(cluster.server(1).log_base(), at(2, 1));
    assert_eq!(cluster.change(1, "add-learner 3"), None);
    assert!(cluster.has_said(1, &Output::CaughtUp { server: ServerId(3) }));
    assert_eq!(cluster.server(3).log_base(), at(2, 1));
    assert_eq!(cluster.server(3).snapshot(), cluster.server(1).snapshot());
    assert_eq!(cluster.server(2).log_base(), at(0, 0));
    assert_eq!(cluster.change(1, "replace 3"), None);
    cluster.heartbeat(3);
    assert_eq!(cluster.leaders(), [3]);
    // Where the log holds it no more, the configuration is in force all the same.
    cluster.snapshot(3);
    cluster.resume(3, true);
    cluster.elect(3);
    assert_eq!(cluster.shown(3), "{S3}");
}
