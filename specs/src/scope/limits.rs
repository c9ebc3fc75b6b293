//! The ranges of a scope's bounds, and what a goal or a property needs to mean anything.

use super::{Disk, Scope, ScopeFlaw};
use crate::{Goal, MembershipChange, Property, ServerId};
use std::ops::RangeInclusive;

pub(super) const SERVERS: RangeInclusive<u64> = 1..=7;
pub(super) const TERMS: RangeInclusive<u64> = 1..=15;
pub(super) const LOG: RangeInclusive<u64> = 1..=15;
pub(super) const COMMANDS: RangeInclusive<u64> = 0..=15;
pub(super) const BATCH: RangeInclusive<u64> = 1..=65_536;
pub(super) const WINDOW: RangeInclusive<u64> = 1..=65_536;
pub(super) const LIMIT_BYTES: RangeInclusive<u64> = 1..=u64::MAX;
pub(super) const RESTARTS: RangeInclusive<u64> = 0..=7;
pub(super) const CATCH_UP_ROUNDS: RangeInclusive<u64> = 0..=1000;
pub(super) const TRANSFERS: RangeInclusive<u64> = 0..=7;
pub(super) const SNAPSHOTS: RangeInclusive<u64> = 0..=7;
pub(super) const CHUNKS: RangeInclusive<u64> = 1..=7;
pub(super) const KEPT_ENTRIES: RangeInclusive<u64> = 0..=u64::MAX;
pub(super) const READS: RangeInclusive<u64> = 0..=7;
pub(super) const SESSIONS: RangeInclusive<u64> = 0..=7;
pub(super) const OF_SESSIONS: RangeInclusive<u64> = 1..=7;
/// The most changes of membership.
const CHANGES: usize = 8;
pub(super) const LOCAL_TRANSITIONS: RangeInclusive<u64> = 1..=u64::MAX;
pub(super) const TURNED_AWAY: RangeInclusive<u64> = 0..=u64::MAX;
pub(super) const UNIQUE_STATES: RangeInclusive<u64> = 1..=u64::MAX;

pub(super) fn check(scope: &Scope) -> Result<(), ScopeFlaw> {
    within("servers", scope.servers, SERVERS)?;
    check_voters(scope)?;
    within("terms", scope.terms, TERMS)?;
    within("log", scope.log, LOG)?;
    within("batch", scope.batch, BATCH)?;
    within("window", scope.window, WINDOW)?;
    within("restarts", scope.restarts, RESTARTS)?;
    within("catch-up-rounds", scope.catch_up_rounds, CATCH_UP_ROUNDS)?;
    within("transfers", scope.transfers, TRANSFERS)?;
    within("snapshots", scope.snapshots, SNAPSHOTS)?;
    within("chunks", scope.chunks, CHUNKS)?;
    within("kept-entries", scope.kept_entries, KEPT_ENTRIES)?;
    within("reads", scope.reads, READS)?;
    within("follower-reads", scope.follower_reads, READS)?;
    within("sessions", scope.sessions, SESSIONS)?;
    within("session-commands", scope.session_commands, OF_SESSIONS)?;
    within("most-sessions", scope.most_sessions, OF_SESSIONS)?;
    within("most-answers", scope.most_answers, OF_SESSIONS)?;
    check_changes(scope)?;
    let may_be_left_out = [
        ("commands", scope.commands, COMMANDS),
        ("batch-bytes", scope.batch_bytes, LIMIT_BYTES),
        ("window-bytes", scope.window_bytes, LIMIT_BYTES),
        ("apply-bytes", scope.apply_bytes, LIMIT_BYTES),
        ("snapshot-bytes", scope.snapshot_bytes, LIMIT_BYTES),
        ("local-transitions", scope.local_transitions, LOCAL_TRANSITIONS),
        ("turned-away", scope.turned_away, TURNED_AWAY),
        ("unique-states", scope.unique_states, UNIQUE_STATES),
    ];
    for (key, value, range) in may_be_left_out {
        if let Some(value) = value {
            within(key, value, range)?;
        }
    }
    if scope.disk_stalls && scope.disk == Disk::Synchronous {
        let what = "`disk-stalls` is set, but no write of a synchronous disk ever waits";
        let help = "set disk = \"asynchronous\", or leave `disk-stalls` out";
        return Err(ScopeFlaw::new(what, help).at("disk-stalls"));
    }
    if scope.leases && !(scope.leader_contact && reads(scope)) {
        let what = "`leases` is set, but a lease needs leader contact, and reads to be of use";
        let help = "set leader-contact = true and reads = 1 or more, or leave `leases` out";
        return Err(ScopeFlaw::new(what, help).at("leases"));
    }
    if scope.snapshot_failures && (scope.disk == Disk::Synchronous || scope.snapshots == 0) {
        let what = "`snapshot-failures` is set, but no snapshot is ever under way";
        let help = "set disk = \"asynchronous\" and snapshots = 1 or more, or leave `snapshot-failures` out";
        return Err(ScopeFlaw::new(what, help).at("snapshot-failures"));
    }
    if scope.properties.is_empty() {
        let names = Property::ALL.iter().map(|property| property.name()).collect::<Vec<_>>();
        let help = format!("leave the key out to check all, or list some of: {}", names.join(", "));
        return Err(ScopeFlaw::new("`properties` is empty, so nothing would be checked", help)
            .at("properties"));
    }
    check_needs(scope)
}

fn within(key: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<(), ScopeFlaw> {
    if range.contains(&value) { Ok(()) } else { Err(out_of_range(key, &value.to_string(), &range)) }
}

/// `value` is the text of the number: it may be too large for any integer type.
pub(super) fn out_of_range(
    key: &'static str,
    value: &str,
    range: &RangeInclusive<u64>,
) -> ScopeFlaw {
    let what = format!("`{key}` is {value}, which is out of range");
    let why = match key {
        "log" => " (a leader appends a no-op, so a log of 0 is impossible)",
        "unique-states" | "local-transitions" | "turned-away" => {
            " (leave the key out until the count is known)"
        }
        _ => "",
    };
    let help = match (range.start(), range.end()) {
        (start, &u64::MAX) => format!("`{key}` is {start} or more{why}"),
        (start, end) => format!("`{key}` goes from {start} to {end}{why}"),
    };
    ScopeFlaw::new(what, help).at(key)
}

fn check_voters(scope: &Scope) -> Result<(), ScopeFlaw> {
    let servers = scope.servers;
    if (1..=servers).contains(&scope.voters) {
        return Ok(());
    }
    let what = if scope.voters == 0 {
        "`voters` is 0, and without voters there is no leader".to_string()
    } else {
        format!("`voters` is {}, but there are only {servers} servers", scope.voters)
    };
    let help = format!(
        "`voters` goes from 1 to `servers` (here {servers}); leave it out if every server votes"
    );
    Err(ScopeFlaw::new(what, help).at("voters"))
}

/// Whether what a file says of snapshots can make a difference. The header of a trace that a server
/// logged need not pass: there, the number of snapshots and the length of the log bound nothing.
pub(super) fn check_snapshots(scope: &Scope) -> Result<(), ScopeFlaw> {
    let said = [("chunks", scope.chunks, 1), ("kept-entries", scope.kept_entries, 0)];
    if scope.snapshots == 0
        && let Some((key, value, _)) = said.into_iter().find(|(_, value, silent)| value != silent)
    {
        let what = format!("`{key}` is {value}, but no server takes a snapshot");
        let help = format!("set snapshots = 1 or more, or leave `{key}` out");
        return Err(ScopeFlaw::new(what, help).at(key));
    }
    if scope.kept_entries >= scope.log {
        let (kept, log) = (scope.kept_entries, scope.log);
        let what = format!("`kept-entries` is {kept}, so a log of {log} lets go of nothing");
        let help = "set it lower than `log`, or leave it out if nothing is to stay";
        return Err(ScopeFlaw::new(what, help).at("kept-entries"));
    }
    Ok(())
}

/// Whether what a file says of sessions can make a difference.
pub(super) fn check_sessions(scope: &Scope) -> Result<(), ScopeFlaw> {
    let said = [
        ("session-commands", scope.session_commands > 1),
        ("most-sessions", scope.most_sessions > 1),
        ("most-answers", scope.most_answers > 1),
        ("session-ends", scope.session_ends),
    ];
    match said.into_iter().find(|(_, said)| *said && scope.sessions == 0) {
        None => Ok(()),
        Some((key, _)) => {
            let what = format!("`{key}` is set, but no client opens a session");
            let help = format!("set sessions = 1 or more, or leave `{key}` out");
            Err(ScopeFlaw::new(what, help).at(key))
        }
    }
}

fn check_changes(scope: &Scope) -> Result<(), ScopeFlaw> {
    if scope.changes.len() > CHANGES {
        let what = format!("`changes` lists {} changes", scope.changes.len());
        return Err(ScopeFlaw::new(what, format!("list at most {CHANGES}")).at("changes"));
    }
    let stranger = |change: &&MembershipChange| {
        named(change).into_iter().find(|server| !(1..=scope.servers).contains(&server.0))
    };
    let mut changes = scope.changes.iter().enumerate();
    match changes.find_map(|(place, change)| Some((place, change, stranger(&change)?))) {
        None => Ok(()),
        Some((place, change, server)) => {
            let what = format!("`{change}` names server {}, which is not there", server.0);
            let help = format!("servers are numbered from 1 to `servers` (here {})", scope.servers);
            Err(ScopeFlaw::new(what, help).at("changes").element(place))
        }
    }
}

/// The servers that a change names.
fn named(change: &MembershipChange) -> Vec<ServerId> {
    match change {
        MembershipChange::AddLearner(server)
        | MembershipChange::AddVoter(server)
        | MembershipChange::Demote(server)
        | MembershipChange::Remove(server) => vec![*server],
        MembershipChange::Replace { voters, learners } => [&voters[..], learners].concat(),
    }
}

fn check_needs(scope: &Scope) -> Result<(), ScopeFlaw> {
    for property in &scope.properties {
        if let Some(need) = property_lacks(scope, *property) {
            let what = format!("property `{property}` says nothing in this scope without {need}");
            return Err(needs(what, need).at("properties").saying(property.name()));
        }
    }
    for goal in &scope.sometimes {
        if let Some(need) = goal_lacks(scope, *goal) {
            let what = format!("goal `{goal}` cannot be reached in this scope without {need}");
            return Err(needs(what, need).at("sometimes").saying(goal.name()));
        }
    }
    Ok(())
}

fn needs(what: String, need: &str) -> ScopeFlaw {
    ScopeFlaw::new(what, format!("set {need}, or take the name out of the list"))
}

const STALLS: &str = "disk = \"asynchronous\" and disk-stalls = true";
const READS_ASKED: &str = "reads = 1 or follower-reads = 1 or more";
const SESSIONS_OPENED: &str = "sessions = 1 or more";
const CHANGES_LISTED: &str = "changes = [...], a list of at least one";

fn reads(scope: &Scope) -> bool {
    scope.reads > 0 || scope.follower_reads > 0
}

/// What the scope would have to set for the property to apply to it.
pub(super) fn property_lacks(scope: &Scope, property: Property) -> Option<&'static str> {
    let (given, need) = match property {
        Property::UndisturbedLeader => {
            (scope.leader_contact || scope.pre_vote, "leader-contact = true or pre-vote = true")
        }
        Property::CutOffRaisesNoTerm => (scope.pre_vote, "pre-vote = true"),
        Property::LeaderHasMajority => (scope.check_quorum, "check-quorum = true"),
        Property::NewestConfiguration
        | Property::OnePendingConfiguration
        | Property::QuorumOverlap
        | Property::LeaderBelongs
        | Property::ExpectedConfiguration => (!scope.changes.is_empty(), CHANGES_LISTED),
        Property::StalledDiskFollows => (scope.disk_stalls, STALLS),
        Property::PromotedWhenCaughtUp => {
            (scope.catch_up_rounds > 0, "catch-up-rounds = 1 or more")
        }
        Property::OrderlyTransfer => {
            (scope.transfers > 0 || !scope.changes.is_empty(), "transfers = 1 or more")
        }
        Property::SnapshotOfCommitted | Property::NothingLetGoUncovered => {
            (scope.snapshots > 0, "snapshots = 1 or more")
        }
        Property::LinearizableReads => (reads(scope), READS_ASKED),
        Property::LeaseExcludesLeaders => (scope.leases, "leases = true"),
        Property::ExecutedOnce | Property::SameAnswer | Property::SessionLasts => {
            (scope.sessions > 0, SESSIONS_OPENED)
        }
        Property::CaughtUpInTime => (scope.catch_up_rounds > 0, "catch-up-rounds = 1 or more"),
        _ => return None,
    };
    (!given).then_some(need)
}

/// What the scope would have to set for the goal to be reachable.
fn goal_lacks(scope: &Scope, goal: Goal) -> Option<&'static str> {
    const ASYNCHRONOUS: &str = "disk = \"asynchronous\"";
    const CRASHES: &str = "restarts = 1 or more";
    let asynchronous = scope.disk == Disk::Asynchronous;
    let crashes = scope.restarts >= 1;
    let (given, need) = match goal {
        Goal::PreVoteWon => (scope.pre_vote, "pre-vote = true"),
        Goal::VoteRequestIgnored => (scope.leader_contact, "leader-contact = true"),
        Goal::LeaderStepsDown
        | Goal::QuorumCheckPassed
        | Goal::HalfNotHeard
        | Goal::LearnersNotCounted
            if !scope.check_quorum =>
        {
            (false, "check-quorum = true")
        }
        Goal::ApplyWaits => (scope.apply_bytes.is_some(), "apply-bytes = 1 or more"),
        Goal::LeaderGivesWay => (scope.disk_stalls, STALLS),
        Goal::TransferCutOff if scope.transfers > 0 => (scope.check_quorum, "check-quorum = true"),
        Goal::HalfNotPromised if !scope.pre_vote => (false, "pre-vote = true"),
        Goal::RestartWithVote | Goal::RestartWithEntries => (crashes, CRASHES),
        Goal::CommandCommitted | Goal::CommandCommittedEverywhere => {
            (scope.commands != Some(0), "commands = 1 or more")
        }
        Goal::ChangeCompleted
        | Goal::ChangeAborted
        | Goal::LeaderLostWhileJoint
        | Goal::JointFinishedByAnother
        | Goal::LeaderLostBeforeNew
        | Goal::SoleHeirElected
        | Goal::NewcomerHeirElected
        | Goal::CompletedBeforeAllJoint
        | Goal::OldQuorumNotEnough
        | Goal::RemovedServerDeposes
        | Goal::OutsideLeaderStepsDown
        | Goal::RemovedServerCampaigns
        | Goal::HalfNotHeard
        | Goal::HalfNotPromised
        | Goal::LearnersNotCounted
        | Goal::LearnerPromoted => (!scope.changes.is_empty(), CHANGES_LISTED),
        Goal::LearnerCaughtUp | Goal::LearnerTooSlow | Goal::LearnerFallsBehind => {
            (scope.catch_up_rounds > 0, "catch-up-rounds = 1 or more")
        }
        Goal::AnswersWhileWriting if scope.snapshots > 0 => (asynchronous, ASYNCHRONOUS),
        Goal::SnapshotDue => (scope.snapshot_bytes.is_some(), "snapshot-bytes = 1 or more"),
        Goal::SnapshotFailed => (scope.snapshot_failures, "snapshot-failures = true"),
        Goal::RestartFromSnapshot if scope.snapshots > 0 => (crashes, CRASHES),
        Goal::SnapshotTaken
        | Goal::SnapshotInstalled
        | Goal::RestartFromSnapshot
        | Goal::SnapshotOverConflict
        | Goal::SnapshotResumed
        | Goal::SnapshotResumedByAnother
        | Goal::AnswersWhileWriting
        | Goal::SnapshotSuperseded => (scope.snapshots > 0, "snapshots = 1 or more"),
        Goal::ReadServed | Goal::ReadRefused | Goal::ReadWaitsForOwnTerm => {
            (reads(scope), READS_ASKED)
        }
        Goal::LeaseRead
        | Goal::LeaseEndsWithChange
        | Goal::ExpiredRoundConfirmed
        | Goal::PromiseOutlivesTerm => (scope.leases, "leases = true"),
        Goal::PromiseOutlivesRestart => {
            (scope.leases && crashes, "leases = true and restarts = 1 or more")
        }
        Goal::LeaseGivenUp => {
            (scope.leases && scope.transfers > 0, "leases = true and transfers = 1 or more")
        }
        Goal::FollowerReadServed => (scope.follower_reads > 0, "follower-reads = 1 or more"),
        Goal::ReadsShareRound => {
            (scope.reads + scope.follower_reads > 2, "reads = 3 or follower-reads = 3 or more")
        }
        Goal::SessionsRestored if scope.sessions > 0 => {
            (scope.snapshots > 0, "snapshots = 1 or more")
        }
        Goal::SessionDisplaced if scope.sessions > 0 => {
            (scope.sessions > 1, "sessions = 2 or more")
        }
        Goal::SessionOverfull | Goal::AnswerForgotten if scope.sessions > 0 => {
            (scope.session_commands > 1, "session-commands = 2 or more")
        }
        Goal::SessionOpened
        | Goal::RetryAnswered
        | Goal::RetryAnsweredByAnother
        | Goal::AnswerForgotten
        | Goal::SessionDisplaced
        | Goal::SessionOverfull
        | Goal::SessionsRestored => (scope.sessions > 0, SESSIONS_OPENED),
        Goal::TransferGivenUp | Goal::TransferCutOff => {
            (scope.transfers > 0, "transfers = 1 or more")
        }
        Goal::TransferCompleted => {
            (scope.transfers > 0 || !scope.changes.is_empty(), "transfers = 1 or more")
        }
        Goal::WriteLost if asynchronous => (crashes, CRASHES),
        Goal::WriteLost | Goal::CommittedBeforeLeaderDurable => (asynchronous, ASYNCHRONOUS),
        _ => return None,
    };
    (!given).then_some(need)
}
