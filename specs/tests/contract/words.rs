//! What a server shows, in words.

use kontiki_specs::{
    CatchUp, FollowerProgress, Lease, LogIndex, ReadId, ReplicationMode, RoleObservation, ServerId,
    WaitingRead, WaitingReads,
};
use std::collections::BTreeMap;

const S2: ServerId = ServerId(2);
const S3: ServerId = ServerId(3);

fn known(mode: ReplicationMode, catch_up: Option<CatchUp>) -> FollowerProgress {
    FollowerProgress { match_index: LogIndex(3), next_index: LogIndex(4), mode, catch_up }
}

#[test]
fn roles_without_a_following() {
    let follower = |leader, leader_contact| RoleObservation::Follower { leader, leader_contact };
    let candidate = |transfer| RoleObservation::Candidate { votes: [S2, S3].into(), transfer };
    for (role, words) in [
        (follower(None, false), "a follower that knows of no leader"),
        (follower(None, true), "a follower that knows of no leader, in contact"),
        (follower(Some(S2), false), "a follower of S2"),
        (follower(Some(S2), true), "a follower of S2, in contact"),
        (
            RoleObservation::PreCandidate { pre_votes: [].into() },
            "a pre-candidate that nobody would vote for",
        ),
        (
            RoleObservation::PreCandidate { pre_votes: [S2].into() },
            "a pre-candidate that S2 would vote for",
        ),
        (candidate(false), "a candidate that S2 and S3 voted for"),
        (candidate(true), "a candidate, told to campaign, that S2 and S3 voted for"),
    ] {
        assert_eq!(role.to_string(), words);
    }
}

#[test]
fn leaders() {
    let alone = RoleObservation::Leader {
        progress: BTreeMap::new(),
        heard: [].into(),
        transfer: None,
        reads: WaitingReads::default(),
    };
    assert_eq!(alone.to_string(), "a leader");
    let leader = RoleObservation::Leader {
        progress: BTreeMap::from([
            (S2, known(ReplicationMode::Probe, None)),
            (S3, known(ReplicationMode::Pipeline, None)),
        ]),
        heard: [S2, S3].into(),
        transfer: Some(S3),
        reads: WaitingReads {
            round: 2,
            confirmed_by: [S2].into(),
            waiting: vec![WaitingRead { read: ReadId(1), asked_by: None }],
            next: vec![WaitingRead { read: ReadId(3), asked_by: Some(S3) }],
            lease: Lease { round: Some(1), over: 0, given_up: false },
        },
    };
    let words = "a leader: S2 matches up to 3, next 4, probed; \
        S3 matches up to 3, next 4, pipelined; heard S2 and S3; handing over to S3; \
        read round 2, confirmed by S2, for read 1, next read 3 of S3, lease of round 1";
    assert_eq!(leader.to_string(), words);
}

#[test]
fn learners_that_catch_up() {
    let round = |long| CatchUp::Round { number: 2, goal: LogIndex(5), long };
    let learner = known(ReplicationMode::Probe, Some(round(false)));
    assert_eq!(learner.to_string(), "matches up to 3, next 4, probed, in round 2 to 5");
    assert_eq!(round(true).to_string(), "in long round 2 to 5");
}
