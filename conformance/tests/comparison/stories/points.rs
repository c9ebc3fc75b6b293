//! What each story is told for.

use super::seen::{
    applied, assert_one_log, count, ever, follows, last, leads, steps, story, terms,
};
use kontiki_conformance::stories::Story;
use kontiki_specs::trace::TraceStep;
use kontiki_specs::{
    Input, LogIndex, Message, Observation, Output, Refusal, RoleObservation, ServerId, Term,
};

#[test]
fn election() {
    let story = story("election");
    assert!(leads(last(&story, 1)));
    assert_one_log(&story, &[1, 2, 3]);
    assert_eq!(count("x=1", &last(&story, 3).log), 1);
}

#[test]
fn split_vote() {
    let story = story("split-vote");
    let votes = |role: &RoleObservation| match role {
        RoleObservation::Candidate { votes, .. } => votes.len(),
        _ => 0,
    };
    for candidate in [1, 2] {
        assert!(ever(&story, candidate, |o| o.term == Term(1) && votes(&o.role) == 2));
        assert!(!ever(&story, candidate, |o| o.term == Term(1) && leads(o)));
    }
    assert!(leads(last(&story, 1)) && last(&story, 1).term == Term(2));
    assert_one_log(&story, &[1, 2, 3, 4]);
}

#[test]
fn figure_7() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [(&str, &[u64]); 6] = [
        ("figure-7-a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
        ("figure-7-b", &[1, 1, 1, 4]),
        ("figure-7-c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ("figure-7-d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ("figure-7-e", &[1, 1, 1, 4, 4, 4, 4]),
        ("figure-7-f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
    ];
    for (name, follower) in followers {
        let story = story(name);
        for (server, log) in [(1, leader), (2, follower), (3, leader)] {
            let first = steps(&story, server).next().unwrap();
            assert_eq!(first.input, Input::Restart { torn: None });
            assert_eq!(terms(&first.observation.log), log, "{name}, S{server}");
        }
        assert!(leads(last(&story, 1)) && last(&story, 1).term == Term(8));
        assert_one_log(&story, &[1, 2, 3]);
        assert_eq!(terms(&last(&story, 2).log), [leader, &[8]].concat(), "{name}");
    }
}

#[test]
fn figure_8() {
    let story = story("figure-8");
    // Index 3 is on S1, S2 and S3, S1 knows it, and does not commit it.
    assert!(ever(&story, 1, |o| {
        let RoleObservation::Leader { progress, .. } = &o.role else { return false };
        let held = |id| progress[&ServerId(id)].match_index == LogIndex(3);
        o.term == Term(4) && held(2) && held(3) && o.durable_index >= LogIndex(3)
    }));
    assert!(!ever(&story, 1, |o| leads(o) && o.commit_index > LogIndex::ZERO));
    assert!(leads(last(&story, 5)) && last(&story, 5).term == Term(5));
    assert_one_log(&story, &[5, 1, 2, 3]);
    assert_eq!(terms(&last(&story, 1).log), [1, 3, 5]);
    for server in [1, 2, 3] {
        assert!(ever(&story, server, |o| count("x=1", &o.log) == 1));
    }
}

#[test]
fn figure_8_committed() {
    let story = story("figure-8-committed");
    assert!(ever(&story, 1, |o| leads(o) && o.term == Term(4) && o.commit_index == LogIndex(4)));
    assert!(!ever(&story, 5, |o| leads(o) && o.term > Term(3)));
    assert_eq!(last(&story, 5).vote, Some(ServerId(2)));
    let leader = last(&story, 2);
    assert!(leads(leader) && leader.term == Term(6) && leader.applied_index == LogIndex(5));
    assert_eq!(terms(&leader.log), [1, 2, 2, 4, 6]);
    assert_eq!(count("x=1", &leader.log), 1);
}

/// Whether the command outlives the crash, and who leads afterwards.
#[test]
fn write_crash() {
    let points = [
        ("under-way", false, 2),
        ("torn", true, 1),
        ("written", false, 2),
        ("follower-unwritten", true, 2),
        ("unheard", true, 2),
        ("committed", true, 2),
    ];
    for (point, survives, leader) in points {
        let story = story(&format!("write-crash-{point}"));
        assert!(leads(last(&story, leader)), "{point}");
        assert_one_log(&story, &[1, 2, 3]);
        let log = &last(&story, 1).log;
        assert!(ever(&story, 1, |o| count("x=1", &o.log) == 1), "{point}");
        assert_eq!(count("x=1", log), usize::from(survives), "{point}");
        assert_eq!((count("y=1", log), count("x=9", log)), (0, 1), "{point}");
    }
    let torn = story("write-crash-torn");
    assert!(ever(&torn, 1, |o| count("y=1", &o.log) == 1));
    assert!(!ever(&story("write-crash-unheard"), 3, leads));
    let committed = story("write-crash-committed");
    let in_life = |life: usize| count("x=1", &applied(&committed, 1)[life].1);
    assert_eq!((in_life(0), in_life(1)), (1, 1));
}

/// How often the command is in the log in the end, and who leads then.
#[test]
fn failover() {
    let points: [(&str, usize, u64, &[u64]); 6] = [
        ("before-sending", 1, 2, &[1, 2, 3]),
        ("sent-to-none", 1, 1, &[1, 2, 3]),
        ("sent-to-some", 0, 3, &[1, 2, 3, 4, 5]),
        ("sent-to-most", 1, 2, &[1, 2, 3, 4, 5]),
        ("sent-to-all", 1, 3, &[1, 2, 3]),
        ("after-commit", 1, 3, &[1, 2, 3]),
    ];
    for (point, times, leader, servers) in points {
        let story = story(&format!("failover-{point}"));
        assert!(leads(last(&story, leader)), "{point}");
        assert_one_log(&story, servers);
        assert_eq!(count("x=1", &last(&story, 1).log), times, "{point}");
    }
    let story = story("failover-after-commit");
    let lives = |server| {
        applied(&story, server).iter().map(|(_, life)| count("x=1", life)).collect::<Vec<_>>()
    };
    assert_eq!((lives(1), lives(2), lives(3)), (vec![1, 1], vec![1], vec![1]));
    let crash = |step: &&TraceStep| !matches!(step.input, Input::Restart { .. });
    let before = story.trace.steps.iter().take_while(crash);
    let reached = |server| {
        let of_server = before.clone().filter(|step| step.server == ServerId(server));
        of_server.last().unwrap().observation.applied_index
    };
    assert_eq!([reached(1), reached(2), reached(3)], [LogIndex(2), LogIndex(2), LogIndex(1)]);
}

#[test]
fn leader_contact() {
    let story = story("leader-contact");
    assert!(story.trace.steps.iter().all(|step| step.observation.term <= Term(1)));
    assert!(ever(&story, 3, |o| matches!(o.role, RoleObservation::PreCandidate { .. })));
    let unheard = story.trace.steps.iter().filter(|step| {
        let Input::Deliver { from, message } = &step.input else { return false };
        *from == ServerId(3) && matches!(message, Message::RequestPreVote { .. })
    });
    let unheard: Vec<_> = unheard.map(|step| (step.server, step.outputs.len())).collect();
    assert_eq!(unheard, [(ServerId(1), 0), (ServerId(2), 0)]);
    assert!(leads(last(&story, 1)) && follows(last(&story, 3), 1));
    assert_one_log(&story, &[1, 2, 3]);
}

#[test]
fn check_quorum() {
    let story = story("check-quorum");
    let steps_down =
        |step: &&TraceStep| step.input == Input::QuorumContactExpired && !leads(&step.observation);
    assert_eq!(steps(&story, 1).filter(steps_down).count(), 1);
    let refusal = Output::Refused { refusal: Refusal::NotLeader { leader: None } };
    assert!(steps(&story, 1).any(|step| step.outputs == [refusal.clone()]));
    assert!(leads(last(&story, 2)) && follows(last(&story, 1), 2));
    assert_one_log(&story, &[1, 2, 3]);
    let log = &last(&story, 1).log;
    assert_eq!(["x=1", "x=2", "x=3"].map(|command| count(command, log)), [0, 0, 1]);
}

/// The configuration that a server goes by, as its text, after each change.
fn configurations(story: &Story, server: u64) -> Vec<String> {
    let mut seen: Vec<String> =
        steps(story, server).map(|step| step.observation.configuration.to_string()).collect();
    seen.dedup();
    seen
}

#[test]
fn joint_change() {
    let story = story("joint-change");
    let joint = "{S1 S2 S3}→{S3 S4 S5}";
    assert_eq!(configurations(&story, 1), ["{S1 S2 S3}", joint]);
    for server in [2, 3] {
        assert_eq!(configurations(&story, server), ["{S1 S2 S3}", joint, "{S3 S4 S5}"]);
    }
    for server in [4, 5] {
        assert_eq!(configurations(&story, server), ["{}", joint, "{S3 S4 S5}"]);
    }
    // S2 is outside C(new) and leads until it is committed, by S3 and S4.
    let outside = |o: &Observation| leads(o) && o.configuration_index == LogIndex(4);
    assert!(ever(&story, 2, outside));
    assert!(!ever(&story, 2, |o| leads(o) && o.commit_index == LogIndex(4)));
    assert_eq!(last(&story, 2).commit_index, LogIndex(4));
    let tells = |step: &&TraceStep| {
        let told = |output: &Output| {
            matches!(output, Output::Send { to: ServerId(4), message: Message::TimeoutNow { .. } })
        };
        step.outputs.iter().any(told)
    };
    assert_eq!(steps(&story, 2).filter(tells).count(), 1);
    assert!(leads(last(&story, 4)) && last(&story, 4).term == Term(3));
}

#[test]
fn bug_of_2015_avoided() {
    let story = story("bug-of-2015-avoided");
    let refusal = Output::Refused { refusal: Refusal::NothingCommittedInTerm };
    assert_eq!(steps(&story, 3).filter(|step| step.outputs == [refusal.clone()]).count(), 1);
    assert_eq!(configurations(&story, 3), ["{S1 S2 S3 S4}", "{S1 S3 S4}"]);
    // S1's own change is taken back, and S3's is all that it knows of.
    let known = ["{S1 S2 S3 S4}", "{S2 S3 S4}", "{S1 S2 S3 S4}", "{S1 S3 S4}"];
    assert_eq!(configurations(&story, 1), known);
    assert_eq!(terms(&last(&story, 3).log), [1, 2, 2]);
    assert_eq!(last(&story, 3).commit_index, LogIndex(3));
    assert_eq!(last(&story, 1).log, last(&story, 3).log);
}

#[test]
fn shrinking_quorum() {
    let story = story("shrinking-quorum");
    let answered: Vec<_> = steps(&story, 1)
        .filter(|step| matches!(step.input, Input::Deliver { from: ServerId(3), .. }))
        .map(|step| {
            let RoleObservation::Leader { progress, .. } = &step.observation.role else {
                return (LogIndex::ZERO, LogIndex::ZERO);
            };
            (progress[&ServerId(3)].match_index, step.observation.commit_index)
        })
        .collect();
    let at = |matched, committed| (LogIndex(matched), LogIndex(committed));
    assert_eq!(answered[..2], [at(0, 2), at(1, 3)]);
    assert_one_log(&story, &[1]);
}

#[test]
fn transfer() {
    let story = story("transfer");
    let refusal = Output::Refused { refusal: Refusal::TransferUnderWay { to: ServerId(3) } };
    assert!(steps(&story, 1).any(|step| step.outputs == [refusal.clone()]));
    let in_contact = |step: &&TraceStep| {
        let Input::Deliver { message, .. } = &step.input else { return false };
        matches!(message, Message::RequestVote { transfer: true, .. })
    };
    let granted: Vec<_> = steps(&story, 2).filter(in_contact).map(|s| s.observation.vote).collect();
    assert_eq!(granted, [Some(ServerId(3))]);
    assert!(leads(last(&story, 3)) && last(&story, 3).term == Term(2));
    assert_one_log(&story, &[1, 2, 3]);
}

/// Whose snapshots the chunks are of that a server takes, and whether others come before them.
fn chunks_written(story: &Story, server: u64) -> Vec<(u64, bool)> {
    let outputs = steps(story, server).flat_map(|step| &step.outputs);
    let chunks = outputs.filter_map(|output| match output {
        Output::WriteChunk { snapshot, offset, .. } => Some((snapshot.id.taken_by.0, *offset > 0)),
        _ => None,
    });
    chunks.collect()
}

#[test]
fn snapshot_resumed() {
    let story = story("snapshot-resumed");
    // The first chunk once, the second twice: the first time it is lost in the crash.
    assert_eq!(chunks_written(&story, 3), [(1, false), (1, true), (1, true)]);
    let restart = |step: &&TraceStep| matches!(step.input, Input::Restart { .. });
    let back = steps(&story, 3).find(restart).unwrap();
    assert!(back.observation.receiving.is_some_and(|part| part.durable > 0));
    assert_eq!(last(&story, 3).log_base.index, LogIndex(2));
    assert_one_log(&story, &[1, 3]);
    assert_eq!(last(&story, 2).applied_index, last(&story, 3).applied_index);
}

#[test]
fn snapshot_superseded() {
    let story = story("snapshot-superseded");
    assert_eq!(chunks_written(&story, 3), [(1, false), (2, false), (2, true)]);
    let ends = |server| last(&story, server).snapshot.as_ref().map(|own| own.id.last).unwrap();
    assert_eq!(ends(1), ends(3));
    assert_eq!(last(&story, 3).snapshot, last(&story, 2).snapshot);
    assert!(leads(last(&story, 2)));
    assert_one_log(&story, &[1, 2, 3]);
}

#[test]
fn snapshot_conflict() {
    let story = story("snapshot-conflict");
    assert!(ever(&story, 3, |o| count("x=3", &o.log) == 1 && leads(o)));
    let restart = |step: &&TraceStep| step.input == Input::Restart { torn: Some(0) };
    let back = &steps(&story, 3).find(restart).unwrap().observation;
    assert_eq!((back.log_base.index, back.applied_index), (LogIndex(2), LogIndex(2)));
    assert!(back.log.is_empty() && back.durable_snapshot.is_some());
    assert_one_log(&story, &[1, 3]);
    assert_eq!(count("x=3", &last(&story, 2).log), 0);
}
