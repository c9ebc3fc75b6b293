//! What stands for the bytes of a snapshot in a recording: how many there are, and a fingerprint.
//!
//! Raft looks at none of these bytes, and a chunk may have a quarter of a million of them. What a server
//! receives it hands on to its disk in the same step, so that equal bytes have equal stand-ins is enough
//! to see that it hands on what it received.

use super::{RecordedReaction, RecordedStep};
use crate::{Input, Message, Output};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// No chunk has more bytes.
const MOST_BYTES: u64 = 1 << 30;
/// How many bytes a stand-in has: those of a length and of a fingerprint.
const BYTES: usize = 16;

impl RecordedStep {
    /// The same step with stand-ins for the bytes of snapshots.
    #[must_use]
    pub fn without_snapshot_bytes(self) -> RecordedStep {
        self.with_snapshot_bytes(|data| Some(stand_in(data))).unwrap_or_else(|step| *step)
    }

    /// The same step with as many bytes as there were for each stand-in; equal ones for equal stand-ins.
    /// The step as it is if something else stands there.
    pub(super) fn with_bytes_for_stand_ins(self) -> Result<RecordedStep, Box<RecordedStep>> {
        self.with_snapshot_bytes(bytes)
    }

    fn with_snapshot_bytes(
        mut self,
        other: impl Fn(&Bytes) -> Option<Bytes>,
    ) -> Result<RecordedStep, Box<RecordedStep>> {
        let mut chunks = Vec::new();
        if let Input::Deliver { message: Message::InstallSnapshot { data, .. }, .. } =
            &mut self.input
        {
            chunks.push(data);
        }
        if let RecordedReaction::Took { outputs, .. } = &mut self.reaction {
            chunks.extend(outputs.iter_mut().filter_map(|output| match output {
                Output::WriteChunk { data, .. } => Some(data),
                _ => None,
            }));
        }
        let mut understood = true;
        for data in chunks.into_iter().filter(|data| !data.is_empty()) {
            match other(data) {
                Some(bytes) => *data = bytes,
                None => understood = false,
            }
        }
        if understood { Ok(self) } else { Err(Box::new(self)) }
    }
}

fn stand_in(data: &Bytes) -> Bytes {
    let (length, fingerprint) = (data.len() as u64, xxh3_64(data));
    [length.to_le_bytes(), fingerprint.to_le_bytes()].concat().into()
}

/// So many bytes, made of the fingerprint.
fn bytes(stand_in: &Bytes) -> Option<Bytes> {
    let (length, fingerprint) = stand_in.split_at_checked(8)?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    if stand_in.len() != BYTES || length == 0 || length > MOST_BYTES {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    let mut bytes = fingerprint.repeat(length.div_ceil(fingerprint.len()));
    bytes.truncate(length);
    Some(bytes.into())
}
