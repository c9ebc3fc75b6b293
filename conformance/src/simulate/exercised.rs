//! What a simulation has made happen, so that it can be seen not to be vacuous.

use kontiki_specs::{AppendOutcome, Message, Output, RoleKind};

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
}

impl Exercised {
    /// Counts what shows in the outputs of a step. `role` is what the server was before it.
    pub(super) fn note(&mut self, role: RoleKind, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::RoleChanged { role: after } => {
                    self.elections_won += u64::from(*after == RoleKind::Leader);
                    self.leaders_deposed += u64::from(role == RoleKind::Leader);
                }
                Output::Proposed { .. } => self.proposals_taken += 1,
                Output::Send { message: Message::AppendEntriesReply { outcome, .. }, .. } => {
                    let refused = matches!(outcome, AppendOutcome::Mismatch { .. });
                    self.mismatches += u64::from(refused);
                }
                _ => {}
            }
        }
    }
}
