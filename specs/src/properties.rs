//! The names of what is checked: properties that must always hold, goals that must be reachable.
//!
//! Only names and descriptions live here, so that a scope file can refer to them; what they mean
//! exactly is code in the model.

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All of them, in the order of their documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The name used in scope files and on the command line.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// One sentence that says what it means.
            pub fn description(self) -> &'static str {
                match self { $($name::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

named! {
    /// Something that must hold in every reachable state, or for every step.
    Property {
        /// At most one leader a term.
        ElectionSafety = "election-safety",
        /// A majority of the voters that a leader was elected under have their vote for it, or a later term, on their disks; of both halves, if the configuration was joint.
        ElectedByMajority = "elected-by-majority",
        /// A leader never overwrites or deletes entries of its own log.
        LeaderAppendOnly = "leader-append-only",
        /// Two logs that agree on the term at an index agree on every entry up to it.
        LogMatching = "log-matching",
        /// A leader's log holds every entry committed in an earlier term.
        LeaderCompleteness = "leader-completeness",
        /// No two servers commit or apply different entries at one index, and each is applied once, in order.
        StateMachineSafety = "state-machine-safety",
        /// A committed entry is on the disks of a majority of the configuration that it was committed under; of both halves, if it was joint.
        CommittedIsDurable = "committed-is-durable",
        /// A server's term never falls, and a restart brings back the term on its disk.
        MonotonicTerm = "monotonic-term",
        /// A server's vote does not change within a term, nor is it forgotten once it is on disk.
        MonotonicVote = "monotonic-vote",
        /// A server's commit index and applied index fall only by a restart.
        MonotonicCommit = "monotonic-commit",
        /// A follower's match index never falls while its leader leads in a term and the follower is a member.
        MonotonicMatch = "monotonic-match",
        /// A server asks for votes, grants its vote and acknowledges entries only as far as its disk justifies it.
        JustifiedByDisk = "justified-by-disk",
        /// A leader sends what its log holds: entries that follow one another and begin right after the position that they are placed behind.
        SentFromLog = "sent-from-log",
        /// No message carries more than the limits in entries and in bytes, or a single entry; nor is more under way to a follower or handed to a state machine that has not executed it; and a heartbeat timeout sends no entries.
        WithinLimits = "within-limits",
        /// A leader that counts acknowledgements commits only up to an entry of its own term.
        OwnTermCommit = "own-term-commit",
        /// A server that hears of a later term becomes a follower in it, unless it ignores a vote request for leader contact.
        LaterTermAdopted = "later-term-adopted",
        /// A vote request changes neither term nor vote of a server in contact with a leader, contact is remembered rightly, and no pre-vote is granted where a vote would be refused.
        UndisturbedLeader = "undisturbed-leader",
        /// With pre-vote, a server that is not told to campaign raises its term only with the pre-votes of a majority; of both halves, if the configuration is joint.
        CutOffRaisesNoTerm = "cut-off-raises-no-term",
        /// A leader goes on leading after a quorum check exactly if it has heard from a majority since the check before.
        LeaderHasMajority = "leader-has-majority",
        /// A server whose disk makes no progress neither leads nor campaigns.
        StalledDiskFollows = "stalled-disk-follows",
        /// The configuration in force at a server is the last in its log, or else its snapshot's, or else the one that it was started with.
        NewestConfiguration = "newest-configuration",
        /// No log holds two configurations that are not committed.
        OnePendingConfiguration = "one-pending-configuration",
        /// No two servers could be elected by quorums that share no server.
        QuorumOverlap = "quorum-overlap",
        /// No server leads once it knows a configuration to be committed in which it does not vote.
        LeaderBelongs = "leader-belongs",
        /// A change of membership is accepted only for the configuration that it is meant for.
        ExpectedConfiguration = "expected-configuration",
        /// A learner is made a voter only if it has caught up and keeps up: it lacks nothing that its leader held an election timeout ago.
        PromotedWhenCaughtUp = "promoted-when-caught-up",
        /// A leader that transfers leadership appends nothing that it is asked for. A server is told to campaign only if it is a voter that holds the leader's whole log, or the best successor of a leader outside the configuration.
        OrderlyTransfer = "orderly-transfer",
        /// A candidate says that it was told to campaign exactly if another server has told it to.
        ToldToCampaign = "told-to-campaign",
        /// A learner's rounds end, are counted and grow long when they should, and the learner has caught up only by a short round or by lacking nothing.
        CaughtUpInTime = "caught-up-in-time",
        /// What a snapshot holds is the beginning of what was committed, with the last configuration in it.
        SnapshotOfCommitted = "snapshot-of-committed",
        /// A log has let go only of entries that the snapshot beside it covers.
        NothingLetGoUncovered = "nothing-let-go-uncovered",
        /// A read sees all that was committed anywhere before it began.
        LinearizableReads = "linearizable-reads",
        /// While a leader has a lease, no server leads in a later term.
        LeaseExcludesLeaders = "lease-excludes-leaders",
        /// No command of a session is executed twice.
        ExecutedOnce = "executed-once",
        /// All answers to the copies of a command of a session are those of the copy that was executed. What a client is told of a session that has ended does not change.
        SameAnswer = "same-answer",
        /// A session lasts until its client or a limit ends it, and an answer is remembered until its client says that it does not wait for it.
        SessionLasts = "session-lasts",
        /// From every state, every majority can elect a leader, commit what its log holds, complete a change of membership, commit a new command, and hand leadership over.
        Recovery = "recovery",
    }
}

named! {
    /// Something that must be reachable in a scope, or the scope shows nothing.
    Goal {
        /// A leader is elected.
        LeaderElected = "leader-elected",
        /// Two candidates of one term are left without a majority.
        SplitVote = "split-vote",
        /// Two servers lead at once, in different terms.
        TwoLeaders = "two-leaders",
        /// A client's command is committed.
        CommandCommitted = "command-committed",
        /// Every server has committed a client's command.
        CommandCommittedEverywhere = "command-committed-everywhere",
        /// An entry of an earlier term is committed by a later leader's own entry.
        EarlierTermCommitted = "earlier-term-committed",
        /// An entry is on a majority of disks, and a later leader overwrites it all the same.
        MajorityOverwritten = "majority-overwritten",
        /// What is committed waits until the state machine has executed what it was handed.
        ApplyWaits = "apply-waits",
        /// A follower drops entries that conflict with its leader's.
        FollowerTruncates = "follower-truncates",
        /// A follower refuses entries because its log does not match.
        MismatchReported = "mismatch-reported",
        /// A server restarts with a vote on its disk.
        RestartWithVote = "restart-with-vote",
        /// A server restarts with entries on its disk.
        RestartWithEntries = "restart-with-entries",
        /// A crash loses a write.
        WriteLost = "write-lost",
        /// An entry is committed before it is on the leader's own disk.
        CommittedBeforeLeaderDurable = "committed-before-leader-durable",
        /// A majority promises votes, and a candidate goes on from pre-vote to vote.
        PreVoteWon = "pre-vote-won",
        /// A vote request of a later term is ignored for leader contact.
        VoteRequestIgnored = "vote-request-ignored",
        /// A leader steps down for want of a majority.
        LeaderStepsDown = "leader-steps-down",
        /// A leader's quorum check succeeds.
        QuorumCheckPassed = "quorum-check-passed",
        /// A leader gives way because its disk makes no progress.
        LeaderGivesWay = "leader-gives-way",
        /// A configuration that was asked for is committed and not joint.
        ChangeCompleted = "change-completed",
        /// A configuration is truncated, so that the one before it is in force again.
        ChangeAborted = "change-aborted",
        /// A leader is elected while a joint configuration of an earlier leader is not committed.
        LeaderLostWhileJoint = "leader-lost-while-joint",
        /// A leader appends the new configuration after a joint one of an earlier leader.
        JointFinishedByAnother = "joint-finished-by-another",
        /// A leader is elected while a configuration of an earlier leader, not joint, is not committed.
        LeaderLostBeforeNew = "leader-lost-before-new",
        /// A leader is elected with a pending configuration that is not joint; at most one other server has this configuration, and has not voted for the leader.
        SoleHeirElected = "sole-heir-elected",
        /// As sole-heir-elected, and the leader was a non-member at the start.
        NewcomerHeirElected = "newcomer-heir-elected",
        /// A change is completed before every new voter has the joint configuration.
        CompletedBeforeAllJoint = "completed-before-all-joint",
        /// Voters that were a quorum of the configuration before hold all of a leader's log, and yet it is not committed: the change has made more of them necessary.
        OldQuorumNotEnough = "old-quorum-not-enough",
        /// A leader steps down because it hears of a later term from a server that has no vote in its configuration.
        RemovedServerDeposes = "removed-server-deposes",
        /// A leader steps down because the configuration without it is committed.
        OutsideLeaderStepsDown = "outside-leader-steps-down",
        /// A server that is not in the last committed configuration campaigns.
        RemovedServerCampaigns = "removed-server-campaigns",
        /// A learner has caught up.
        LearnerCaughtUp = "learner-caught-up",
        /// A learner is reported as too slow.
        LearnerTooSlow = "learner-too-slow",
        /// A learner that had caught up has fallen behind and begins anew.
        LearnerFallsBehind = "learner-falls-behind",
        /// A learner is made a voter, and the configuration with it as a voter is committed.
        LearnerPromoted = "learner-promoted",
        /// A server that was told to campaign is elected.
        TransferCompleted = "transfer-completed",
        /// A transfer of leadership is given up.
        TransferGivenUp = "transfer-given-up",
        /// A leader steps down that has heard from a majority of one half of a joint configuration, and not of the other.
        HalfNotHeard = "half-not-heard",
        /// A pre-candidate has the promises of a majority of one half of a joint configuration, and not of the other.
        HalfNotPromised = "half-not-promised",
        /// A leader steps down that would have heard from enough if learners counted.
        LearnersNotCounted = "learners-not-counted",
        /// A leader that is transferring leadership steps down for want of a majority.
        TransferCutOff = "transfer-cut-off",
        /// A server has taken a snapshot, and it is durable.
        SnapshotTaken = "snapshot-taken",
        /// A server finds that a snapshot is due.
        SnapshotDue = "snapshot-due",
        /// A snapshot that was being taken has failed.
        SnapshotFailed = "snapshot-failed",
        /// A server has installed another's snapshot, and it is durable.
        SnapshotInstalled = "snapshot-installed",
        /// A server starts from a snapshot.
        RestartFromSnapshot = "restart-from-snapshot",
        /// A snapshot takes the place of entries that are not known to be committed.
        SnapshotOverConflict = "snapshot-over-conflict",
        /// A leader that offers a snapshot learns that part of it is there, and goes on from there.
        SnapshotResumed = "snapshot-resumed",
        /// As snapshot-resumed, and another server has taken the snapshot, so that the leader was sent it too.
        SnapshotResumedByAnother = "snapshot-resumed-by-another",
        /// A follower answers its leader while a chunk of a snapshot is on its way to disk.
        AnswersWhileWriting = "answers-while-writing",
        /// The first chunk of a snapshot takes the place of what has been received of another.
        SnapshotSuperseded = "snapshot-superseded",
        /// A leader answers a read of its own clients.
        ReadServed = "read-served",
        /// A follower has its leader's answer to a read.
        FollowerReadServed = "follower-read-served",
        /// Two reads are answered by one round.
        ReadsShareRound = "reads-share-round",
        /// A leader gives up the role while reads wait, and refuses them.
        ReadRefused = "read-refused",
        /// A majority has confirmed a leader, and reads wait on until it has committed an entry of its own term.
        ReadWaitsForOwnTerm = "read-waits-for-own-term",
        /// A leader that has a lease answers a read of its own clients in the step in which it is asked.
        LeaseRead = "lease-read",
        /// A leader that has a lease tells another server to campaign, and has none any more.
        LeaseGivenUp = "lease-given-up",
        /// A leader that has a lease appends a configuration, and has none any more.
        LeaseEndsWithChange = "lease-ends-with-change",
        /// A majority confirms a leader in a round whose time is up, so that it gives no lease.
        ExpiredRoundConfirmed = "expired-round-confirmed",
        /// A follower in contact learns of a later term, but not of its leader, and stays in contact.
        PromiseOutlivesTerm = "promise-outlives-term",
        /// A server that has started again ignores a request for its vote before it has heard from a leader of its term.
        PromiseOutlivesRestart = "promise-outlives-restart",
        /// A client opens a session.
        SessionOpened = "session-opened",
        /// A copy of a command gets the answer of the command.
        RetryAnswered = "retry-answered",
        /// As retry-answered, and the copy came to the leader of a later term.
        RetryAnsweredByAnother = "retry-answered-by-another",
        /// A copy of a command comes when its client does not wait for the answer any more.
        AnswerForgotten = "answer-forgotten",
        /// A session ends because as many others may be open and one more is opened.
        SessionDisplaced = "session-displaced",
        /// A session ends because one more of its answers would have to be remembered.
        SessionOverfull = "session-overfull",
        /// A server takes over, from a snapshot, a session with an answer that is remembered.
        SessionsRestored = "sessions-restored",
    }
}
