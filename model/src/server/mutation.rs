//! The mistakes that the checker must catch.

use std::fmt;

macro_rules! mutations {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A rule to break. What each does wrong is said in `specs/mutations.toml`, with the
        /// scope and the property that show it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mutation {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &'static [Mutation] = &[$(Mutation::$variant,)+];

            /// The name used on the command line and in `specs/mutations.toml`.
            pub fn name(self) -> &'static str {
                match self { $(Mutation::$variant => $name,)+ }
            }

            /// The mutation of that name.
            pub fn from_name(name: &str) -> Option<Mutation> {
                Mutation::ALL.iter().copied().find(|mutation| mutation.name() == name)
            }
        }
    };
}

mutations! {
    /// Breaks E3.
    VoteTwice = "vote-twice",
    /// Breaks E3.
    ForgetVoteOnRestart = "forget-vote-on-restart",
    /// Breaks E3.
    ForgetTermOnRestart = "forget-term-on-restart",
    /// Breaks E3.
    AnswerVoteBeforeDurable = "answer-vote-before-durable",
    /// Breaks E3.
    CountOwnVoteBeforeDurable = "count-own-vote-before-durable",
    /// Breaks E5.
    MinorityElects = "minority-elects",
    /// Breaks E5.
    CountLateVotes = "count-late-votes",
    /// Breaks L1.
    MatchGoesBack = "match-goes-back",
    /// Breaks L7.
    LeaderCutsItsLog = "leader-cuts-its-log",
    /// Breaks L2.
    PlacedInOwnTerm = "placed-in-own-term",
    /// Breaks E4.
    CompareLogsByLength = "compare-logs-by-length",
    /// Breaks E4.
    IgnoreLogInVote = "ignore-log-in-vote",
    /// Breaks E5.
    CountVotesFromOutside = "count-votes-from-outside",
    /// Breaks E6.
    KeepVoteInNewTerm = "keep-vote-in-new-term",
    /// Breaks E6.
    IgnoreHigherTerm = "ignore-higher-term",
    /// Breaks E6.
    CandidateIgnoresLeader = "candidate-ignores-leader",
    /// Breaks E7.
    PreVoteIgnoresLog = "pre-vote-ignores-log",
    /// Breaks E7.
    PreVoteRaisesTerm = "pre-vote-raises-term",
    /// Breaks E7.
    PreVoteRefusalHidesTerm = "pre-vote-refusal-hides-term",
    /// Breaks E7.
    PreVoteOfOneHalf = "pre-vote-of-one-half",
    /// Breaks E8.
    NoLeaderContact = "no-leader-contact",
    /// Breaks E8.
    ContactNeedsPreVote = "contact-needs-pre-vote",
    /// Breaks E9.
    NoCheckQuorum = "no-check-quorum",
    /// Breaks E9.
    QuorumCheckCountsLearners = "quorum-check-counts-learners",
    /// Breaks E9.
    QuorumCheckOfOneHalf = "quorum-check-of-one-half",
    /// Breaks L2.
    SkipConsistencyCheck = "skip-consistency-check",
    /// Breaks L3.
    TruncateWithoutConflict = "truncate-without-conflict",
    /// Breaks L3.
    NeverTruncate = "never-truncate",
    /// Breaks L4.
    CommitOlderTermByCounting = "commit-older-term-by-counting",
    /// Breaks L5.
    NoNoOp = "no-no-op",
    /// Breaks L6.
    CommitBeyondVerified = "commit-beyond-verified",
    /// Breaks L6.
    CommitGoesBack = "commit-goes-back",
    /// Breaks L4.
    MatchFromOwnLog = "match-from-own-log",
    /// Breaks L4.
    CountStaleAcknowledgement = "count-stale-acknowledgement",
    /// Breaks L1.
    AcknowledgeBeforeDurable = "acknowledge-before-durable",
    /// Breaks L9's condition on the leader's own disk.
    LeaderCountsUndurableSelf = "leader-counts-undurable-self",
    /// Breaks L9's condition on completions.
    CompletionByIndexOnly = "completion-by-index-only",
    /// Breaks L9's window.
    WindowIsNotKept = "window-is-not-kept",
    /// Breaks L9's window.
    LettingGoMakesRoom = "letting-go-makes-room",
    /// Breaks L2.
    HintNeverAdvances = "hint-never-advances",
    /// Breaks L8.
    ApplyBeforeCommit = "apply-before-commit",
    /// Breaks L8's limit.
    ApplyLimitIsNotKept = "apply-limit-is-not-kept",
    /// Breaks L8's limit.
    RestIsNeverApplied = "rest-is-never-applied",
    /// Breaks L11.
    CompletionOfEarlierIncarnation = "completion-of-earlier-incarnation",
    /// Breaks L12.
    HeartbeatRepeatsProbe = "heartbeat-repeats-probe",
    /// Breaks L12.
    LostProbeNotRepeated = "lost-probe-not-repeated",
    /// Breaks M1.
    DirectSwitch = "direct-switch",
    /// Breaks M1.
    JointByUnion = "joint-by-union",
    /// Breaks M1.
    JointOldMajorityOnly = "joint-old-majority-only",
    /// Breaks M1.
    JointNewMajorityOnly = "joint-new-majority-only",
    /// Breaks M2.
    ConfigurationAtCommit = "configuration-at-commit",
    /// Breaks M2, for leaders only.
    LeaderCountsByCommittedConfiguration = "leader-counts-by-committed-configuration",
    /// Breaks M2.
    KeepTruncatedConfiguration = "keep-truncated-configuration",
    /// Breaks M3.
    JointNeverLeft = "joint-never-left",
    /// Breaks M3.
    LeaveJointBeforeCommitted = "leave-joint-before-committed",
    /// Breaks M4.
    OutsideLeaderCountsItself = "outside-leader-counts-itself",
    /// Breaks M4.
    OutsideLeaderStays = "outside-leader-stays",
    /// Breaks M4.
    HeirLacksEntries = "heir-lacks-entries",
    /// Breaks M4.
    OutsideServerNeverCampaigns = "outside-server-never-campaigns",
    /// Breaks M5.
    LearnerCounts = "learner-counts",
    /// Breaks M5.
    UnawarePromotedLearnerRefusesVote = "unaware-promoted-learner-refuses-vote",
    /// Breaks M5.
    CaughtUpForGood = "caught-up-for-good",
    /// Breaks M5.
    RoundNeverLong = "round-never-long",
    /// Breaks M6.
    SingleChangeWithoutOwnCommit = "single-change-without-own-commit",
    /// Breaks M7.
    OverlappingChanges = "overlapping-changes",
    /// Breaks M6.
    TwoServersAsSingleChange = "two-servers-as-single-change",
    /// Breaks M10.
    ChangeExpectedByIndexOnly = "change-expected-by-index-only",
    /// Breaks E10.
    TransferBeforeCaughtUp = "transfer-before-caught-up",
    /// Breaks E10.
    TransferNeverAborts = "transfer-never-aborts",
    /// Breaks E10's exemption from E8.
    TransferRespectsContact = "transfer-respects-contact",
    /// Breaks E10, and with it E8.
    ClaimsToBeTold = "claims-to-be-told",
    /// Breaks E12.
    StalledDiskLeadsOn = "stalled-disk-leads-on",
    /// Breaks S1.
    LogDroppedBeforeSnapshotDurable = "log-dropped-before-snapshot-durable",
    /// Breaks S1.
    SnapshotBeyondApplied = "snapshot-beyond-applied",
    /// Breaks S1.
    SnapshotWithoutConfiguration = "snapshot-without-configuration",
    /// Breaks S1.
    UncommittedConfigurationInSnapshot = "uncommitted-configuration-in-snapshot",
    /// Breaks S2.
    OldSnapshotApplied = "old-snapshot-applied",
    /// Breaks S2.
    SnapshotDropsSuffix = "snapshot-drops-suffix",
    /// Breaks S2.
    SnapshotKeepsConflict = "snapshot-keeps-conflict",
    /// Breaks S2.
    LogKeptUnderOtherSnapshot = "log-kept-under-other-snapshot",
    /// Breaks S2.
    ChunksOfTwoSnapshots = "chunks-of-two-snapshots",
    /// Breaks S2.
    ChunkOfDeposedLeader = "snapshot-chunk-of-a-deposed-leader",
    /// Breaks S2.
    AcknowledgeSnapshotBeforeDurable = "acknowledge-snapshot-before-durable",
    /// Breaks S2.
    SnapshotMatchNotCounted = "snapshot-match-not-counted",
    /// Breaks C3.
    ReadWithoutRound = "read-without-round",
    /// Breaks C3.
    ReadBeforeOwnTermCommit = "read-before-own-term-commit",
    /// Breaks C3.
    ReadRoundByCallersKey = "read-round-by-callers-key",
    /// Breaks C3.
    ReadBeforeApply = "read-before-apply",
    /// Breaks C3.
    ReadSurvivesLeadership = "read-survives-leadership",
    /// Breaks C3, in a joint configuration.
    ReadConfirmedByOneHalf = "read-confirmed-by-one-half",
    /// Breaks C3.
    ReadConfirmedByLearner = "read-confirmed-by-learner",
    /// Breaks C4, in the environment.
    LeaseOutlivesPromise = "lease-outlives-promise",
    /// Breaks C4, in the environment.
    LeaseFromAnswer = "lease-from-answer",
    /// Breaks C4.
    ExpiredRoundGivesLease = "expired-round-gives-lease",
    /// Breaks C4, when another is told to campaign.
    LeaseSurvivesTransfer = "lease-survives-transfer",
    /// Breaks C4, when the configuration changes.
    LeaseSurvivesChange = "lease-survives-change",
    /// Breaks C4, at a server that starts again.
    RestartForgetsPromise = "restart-forgets-promise",
    /// Breaks C4, at a follower that learns of a later term.
    LaterTermForgetsPromise = "later-term-forgets-promise",
    /// Breaks C5.
    FollowerReadsAtOnce = "follower-reads-at-once",
    /// Breaks C5.
    ReadNumberUsedAgain = "read-number-used-again",
    /// Breaks C2.
    NoSessions = "no-sessions",
    /// Breaks C2.
    SessionKeptByLeaderOnly = "session-kept-by-leader-only",
    /// Breaks C2.
    SessionExpiresByLocalClock = "session-expires-by-local-clock",
    /// Breaks C2.
    AnswerDroppedEarly = "answer-dropped-early",
    /// Breaks C2.
    AnsweredBelowGoesBack = "answered-below-goes-back",
    /// Breaks C2.
    EndedSessionExecutes = "ended-session-executes",
    /// Breaks C2.
    FullSessionGoesOn = "full-session-goes-on",
    /// Breaks C2.
    BusiestSessionMakesRoom = "busiest-session-makes-room",
    /// Breaks rule S1's part on sessions.
    SnapshotWithoutSessions = "snapshot-without-sessions",
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
