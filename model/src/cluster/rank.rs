//! The order in which messages between two servers are looked at.

use super::hashes::wide_hash;
use bytes::Bytes;
use kontiki_specs::{Configuration, Message, Payload, ServerId};

/// Stands for any server.
const NOBODY: ServerId = ServerId(0);

/// Orders messages between the same two servers, independently of the servers' names. Of messages
/// that do the same the first is kept: those first that a server sends first on its way to being
/// leader, so that few states differ in which of them is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    stage: u8,
    hash: u128,
}

impl Rank {
    pub(super) fn of(message: &Message) -> Rank {
        let stage = match message {
            Message::RequestPreVote { .. } => 0,
            Message::RequestVote { .. } => 1,
            _ => 2,
        };
        Rank { stage, hash: wide_hash(&nameless(message)) }
    }
}

/// The message without the names of members, which no two messages of one place in a log differ in.
fn nameless(message: &Message) -> Message {
    let mut message = message.clone();
    match &mut message {
        Message::AppendEntries { entries, .. } => {
            let nameless = entries.iter().cloned().map(|mut entry| {
                if let Payload::Configuration(configuration) = &mut entry.payload {
                    *configuration = Configuration::default();
                }
                entry
            });
            *entries = nameless.collect();
        }
        Message::InstallSnapshot { snapshot, data, .. } => {
            snapshot.id.taken_by = NOBODY;
            snapshot.configuration = Configuration::default();
            *data = Bytes::from(vec![0; data.len()]);
        }
        Message::InstallSnapshotReply { snapshot, .. } => snapshot.taken_by = NOBODY,
        _ => {}
    }
    message
}
