//! What a simulation has made happen, so that it can be seen not to be vacuous.

mod snapshots;

use super::memberships::Memberships;
use super::taken::Taken;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{
    AppendOutcome, CommandOutcome, Input, MembershipChange, Message, Output, Refusal, RoleKind,
};

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// How often things happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Exercised {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl Exercised {
            /// Each count, with what it counts in words.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$field),)+]
            }

            /// Adds what happened in another run.
            pub(super) fn add(&mut self, other: &Exercised) {
                $(self.$field += other.$field;)+
            }
        }
    };
}

counts! {
    /// Servers that became leader.
    elections_won = "elections won",
    /// Leaders that became something else other than by a crash.
    leaders_deposed = "leaders deposed",
    /// Entries that were committed, each counted once for a cluster.
    entries_committed = "entries committed",
    /// Commands that a leader took.
    proposals_taken = "proposals taken",
    /// Servers that went down.
    crashes = "crashes",
    /// Crashes in which at least one write was lost.
    writes_lost = "crashes with lost writes",
    /// Crashes that left part of a write.
    torn_writes = "torn writes",
    /// Leaders and candidates that gave way because their disk made no progress (rule E12).
    gave_way = "servers that gave way to a stalled disk",
    /// Times that a link was cut in a network that was whole.
    partitions = "partitions",
    /// Messages that arrived more than once.
    duplicates = "messages duplicated",
    /// Messages that were lost, other than on a link that was cut.
    losses = "messages lost",
    /// Messages that arrived before an older one of the same link.
    overtakings = "messages that overtook others",
    /// Writes that replace entries of the log.
    truncations = "truncations",
    /// Requests that a follower refused because its log does not match.
    mismatches = "mismatches",
    /// Changes of membership that a leader took.
    changes_taken = "changes of membership taken",
    /// Of these, those that go through a joint configuration.
    joint_changes = "joint changes taken",
    /// Changes that asked for a certain configuration, and were taken.
    changes_expected = "changes taken of the configuration expected",
    /// Configurations that are not joint and were committed, each counted once for a cluster.
    changes_completed = "changes completed",
    /// Configurations that a server has truncated from its log.
    changes_aborted = "changes truncated",
    /// Learners that were made voters, as far as that was committed.
    learners_promoted = "changes that promote learners",
    /// Learners that have caught up (rule M5).
    caught_up = "learners caught up",
    /// Learners that were reported as too slow (rule M5).
    too_slow = "learners too slow",
    /// Leaders that stepped down because they have no vote any more (rule M4).
    leaders_removed = "leaders without a vote stepped down",
    /// Leaders that were elected by a joint configuration: the one who began has been lost.
    elected_while_joint = "leaders elected while joint",
    /// Servers without a vote in their configuration that sought election.
    outsiders_campaigned = "servers without a vote campaigned",
    /// Transfers of leadership that a leader began (rule E10).
    transfers_begun = "transfers begun",
    /// Leaders that were elected because the one before told them to campaign.
    transfers_completed = "transfers completed",
    /// Transfers that were given up.
    transfers_given_up = "transfers given up",
    /// Refused: the server does not lead.
    not_leader = "refused by who does not lead",
    /// Refused: leadership is being transferred.
    transfer_under_way = "refused during a transfer",
    /// Refused: leadership does not go there.
    not_another_voter = "transfers refused",
    /// Refused: a change is under way.
    change_pending = "changes refused while one is pending",
    /// Refused: another configuration was expected.
    other_configuration = "changes refused of another configuration",
    /// Refused: the leader has committed nothing in its term.
    nothing_committed_in_term = "changes refused before a commit",
    /// Refused: nobody would vote.
    no_voters = "changes refused that leave no voters",
    /// Refused: of a server that is no member.
    unknown_server = "changes refused of no member",
    /// Refused: is that already, or listed twice.
    duplicate = "changes refused of duplicates",
    /// Refused: learner and voter.
    learner_is_voter = "changes refused of voting learners",
    /// Refused: nothing would change.
    nothing_to_change = "changes refused of nothing",
    /// Refused: a new voter has not caught up.
    not_caught_up = "changes refused before catching up",
    /// Sessions that were opened (rule C2), each counted once for a cluster.
    sessions_opened = "sessions opened",
    /// Commands of sessions that were executed, each counted once for a cluster.
    commands_executed = "commands executed",
    /// Copies of commands that were answered as the command was.
    commands_repeated = "copies of commands answered",
    /// Copies of commands whose clients do not wait for the answer any more.
    answers_forgotten = "copies of commands whose answer is forgotten",
    /// Commands of sessions that have ended.
    sessions_over = "commands of ended sessions",
    /// Sessions that their clients have ended.
    sessions_ended = "sessions ended by clients",
    /// Commands that are none.
    no_commands = "commands that are none",
    /// Snapshots that a server has taken and that have become its own (rule S1).
    snapshots_taken = "snapshots taken",
    /// Of these, those of less than was applied and on disk when they were begun (rule S5).
    snapshots_lagging = "snapshots taken of what lies back",
    /// Snapshots that were complete when a later one had been installed (rule S3).
    snapshots_overtaken = "snapshots taken that an installation overtook",
    /// Snapshots that a crash has interrupted.
    snapshots_lost = "snapshots lost in a crash",
    /// Times that a log was let go of.
    logs_let_go = "logs let go of",
    /// Chunks that were sent (rule S2).
    chunks_sent = "chunks of snapshots sent",
    /// Chunks that a follower did not take: others came before, or it has no need of them.
    chunks_refused = "chunks refused",
    /// Chunks of which a crash has left part.
    torn_chunks = "torn chunks",
    /// Snapshots that were installed and are on disk.
    snapshots_installed = "snapshots installed",
    /// Installations of which a crash has left the snapshot and the old log.
    torn_installations = "torn installations",
    /// Logs that conflicted with a snapshot, or reached further, and went.
    logs_replaced = "logs that a snapshot has replaced",
    /// Snapshots that were offered to who has all that they cover.
    offered_in_vain = "snapshots offered in vain",
    /// Leaders that went on with what a follower had of their snapshot.
    snapshots_resumed = "snapshots resumed",
    /// Snapshots that were received in part when another came.
    snapshots_superseded = "snapshots superseded",
    /// Of these, those that ended with the same entry.
    of_two_takers = "snapshots superseded by another of the same index",
    /// Followers that acknowledged a snapshot: from there on they are sent entries.
    caught_up_by_snapshot = "followers caught up by snapshot",
    /// Servers that started from a snapshot.
    restarts_from_snapshot = "restarts from a snapshot",
    /// Servers that started with part of another server's snapshot.
    restarts_receiving = "restarts with part of a snapshot",
    /// Reads that were served by servers that led when they were asked (rule C3).
    reads_of_leaders = "reads served by leaders",
    /// Reads that were served by servers that did not (rule C5).
    reads_of_followers = "reads served by followers",
    /// Reads that were answered before what they must see was applied.
    reads_applied_later = "reads that waited until the read index was applied",
    /// Rounds that counted for more than one read.
    rounds_shared = "rounds that reads shared",
    /// Reads of its own clients that a leader answered at once by its lease (rule C4).
    reads_by_lease = "reads answered by lease",
    /// Leases that ended though their leaders led on: the time was up, another was told to campaign, or a
    /// configuration was appended.
    leases_ended = "leases that ended",
    /// Requests for votes that were ignored by servers that have not heard from a leader of their term:
    /// they have just started, or had heard from the leader of an earlier one (rule C4).
    promises_kept = "requests for votes ignored for an earlier promise",
    /// Reads that were refused.
    reads_refused = "reads refused",
    /// Reads that were asked for again.
    reads_asked_again = "reads asked for again",
    /// Answers to reads that nobody waited for any more, or that had been answered before.
    answers_unawaited = "answers that nobody waited for",
    /// Reads that waited at a server that went down.
    reads_lost = "reads lost in a crash",
    /// Refused: not applied, or not on disk.
    not_settled = "snapshots refused of what is not settled",
    /// Refused: the server waits to be taken in.
    configuration_unknown = "snapshots refused of who knows no configuration",
    /// Refused: there is one that covers as much.
    snapshot_exists = "snapshots refused of what is covered",
    /// Refused: one is being taken.
    snapshot_under_way = "snapshots refused while one is taken",
}

impl Exercised {
    /// Counts what shows in a step of a server, which is `raft` afterwards.
    pub(super) fn note(&mut self, taken: &Taken<'_>, raft: &Raft<MemoryStore>) {
        let Taken { role, outputs, .. } = *taken;
        self.note_request(taken);
        self.note_snapshots(taken, raft);
        self.rounds_shared += u64::from(taken.in_round > 1 && outputs.iter().any(answers_read));
        let by_lease = taken.had_lease
            && matches!(taken.input, Input::Read { .. })
            && outputs.iter().any(answers_read);
        self.reads_by_lease += u64::from(by_lease);
        let asked_for_vote = matches!(
            taken.input,
            Input::Deliver { message: Message::RequestVote { transfer: false, .. }, .. }
        );
        let keeps_promise = raft.has_leader_contact() && raft.leader().is_none();
        self.promises_kept += u64::from(asked_for_vote && keeps_promise && outputs.is_empty());
        let leads_on = raft.role() == RoleKind::Leader;
        self.leases_ended += u64::from(taken.had_lease && !taken.has_lease && leads_on);
        for output in outputs {
            match output {
                Output::RoleChanged { role: after } => {
                    self.elections_won += u64::from(*after == RoleKind::Leader);
                    self.leaders_deposed += u64::from(role == RoleKind::Leader);
                    self.note_role(taken, *after, raft);
                }
                Output::CaughtUp { .. } => self.caught_up += 1,
                Output::TooSlow { .. } => self.too_slow += 1,
                Output::Refused { refusal } => self.note_refusal(refusal),
                Output::Send { message: Message::AppendEntriesReply { outcome, .. }, .. } => {
                    let refused = matches!(outcome, AppendOutcome::Mismatch { .. });
                    self.mismatches += u64::from(refused);
                }
                _ => {}
            }
        }
    }

    fn note_request(&mut self, taken: &Taken<'_>) {
        let refused = |output: &Output| matches!(output, Output::Refused { .. });
        let taken_up = taken.role == RoleKind::Leader && !taken.outputs.iter().any(refused);
        match taken.input {
            Input::Propose { .. } => self.proposals_taken += u64::from(taken_up),
            Input::ChangeMembership { change, expected } if taken_up => {
                self.changes_taken += 1;
                let joint = matches!(change, MembershipChange::Replace { .. });
                self.joint_changes += u64::from(joint);
                self.changes_expected += u64::from(expected.is_some());
            }
            Input::DiskStalled => {
                self.gave_way +=
                    u64::from(taken.role != RoleKind::Follower && !taken.outputs.is_empty());
            }
            Input::TransferLeadership { .. } => self.transfers_begun += u64::from(taken_up),
            Input::TransferExpired => {
                self.transfers_given_up += u64::from(taken.transfers_to.is_some());
            }
            _ => {}
        }
    }

    fn note_role(&mut self, taken: &Taken<'_>, after: RoleKind, raft: &Raft<MemoryStore>) {
        let (now, id) = (raft.configuration(), raft.id());
        let votes = now.voters.contains(&id) || now.outgoing.contains(&id);
        let same_term =
            !taken.outputs.iter().any(|output| matches!(output, Output::WriteHardState { .. }));
        let committed = raft.configuration_index() <= raft.commit_index();
        let removed = taken.role == RoleKind::Leader && same_term && committed && !votes;
        self.leaders_removed += u64::from(removed);
        let seeks = matches!(after, RoleKind::PreCandidate | RoleKind::Candidate);
        self.outsiders_campaigned += u64::from(seeks && !votes);
        self.transfers_completed += u64::from(after == RoleKind::Leader && taken.was_told);
    }

    pub(super) fn note_outcome(&mut self, outcome: CommandOutcome) {
        match outcome {
            CommandOutcome::Opened => self.sessions_opened += 1,
            CommandOutcome::Executed => self.commands_executed += 1,
            CommandOutcome::Repeated { .. } => self.commands_repeated += 1,
            CommandOutcome::AnswerForgotten => self.answers_forgotten += 1,
            CommandOutcome::SessionEnded => self.sessions_over += 1,
            CommandOutcome::Ended => self.sessions_ended += 1,
            CommandOutcome::NotACommand => self.no_commands += 1,
        }
    }

    fn note_refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::NotLeader { .. } => self.not_leader += 1,
            Refusal::TransferUnderWay { .. } => self.transfer_under_way += 1,
            Refusal::NotAnotherVoter { .. } => self.not_another_voter += 1,
            Refusal::ChangePending { .. } => self.change_pending += 1,
            Refusal::OtherConfiguration { .. } => self.other_configuration += 1,
            Refusal::NothingCommittedInTerm => self.nothing_committed_in_term += 1,
            Refusal::NoVoters => self.no_voters += 1,
            Refusal::UnknownServer { .. } => self.unknown_server += 1,
            Refusal::Duplicate { .. } => self.duplicate += 1,
            Refusal::LearnerIsVoter { .. } => self.learner_is_voter += 1,
            Refusal::NothingToChange => self.nothing_to_change += 1,
            Refusal::NotCaughtUp { .. } => self.not_caught_up += 1,
            Refusal::NotSettled { .. } => self.not_settled += 1,
            Refusal::ConfigurationUnknown => self.configuration_unknown += 1,
            Refusal::SnapshotExists { .. } => self.snapshot_exists += 1,
            Refusal::SnapshotUnderWay { .. } => self.snapshot_under_way += 1,
            // Limits of the implementation alone, which simulations leave out of reach.
            Refusal::NothingProposed
            | Refusal::CommandTooLarge { .. }
            | Refusal::TooManyReads { .. }
            | Refusal::TooMuchUncommitted { .. } => {}
        }
    }

    /// With what shows only in the logs of a cluster.
    pub(super) fn with(self, memberships: &Memberships) -> Exercised {
        Exercised {
            changes_completed: memberships.completed,
            changes_aborted: memberships.aborted,
            learners_promoted: memberships.promotions,
            elected_while_joint: memberships.elected_while_joint,
            ..self
        }
    }
}

/// Whether an output is a leader's answer to a read.
fn answers_read(output: &Output) -> bool {
    matches!(
        output,
        Output::ReadReady { .. } | Output::Send { message: Message::ReadIndexReply { .. }, .. }
    )
}
