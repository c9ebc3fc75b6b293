//! A state machine that keeps every command, so that nothing can be lost or done twice unnoticed.

use kontiki_node::kontiki::LogIndex;
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::{SnapshotImage, StateMachine};
use std::io::{self, Read, Write};

/// All commands, each a number, in the order of their execution.
#[derive(Default)]
pub struct Journal {
    pub numbers: Vec<u64>,
}

/// A command that has the state machine panic.
pub const PANIC: &[u8] = b"panic";

impl StateMachine for Journal {
    /// How many commands were executed.
    type Answer = u64;
    type Query = ();
    type Reply = Vec<u64>;

    fn apply(&mut self, _: LogIndex, command: &Bytes) -> u64 {
        assert_ne!(command, PANIC);
        self.numbers.push(u64::from_le_bytes(command[..].try_into().unwrap()));
        self.numbers.len() as u64
    }

    fn query(&self, (): ()) -> Vec<u64> {
        self.numbers.clone()
    }

    fn snapshot(&self) -> SnapshotImage {
        let numbers = self.numbers.clone();
        Box::new(move |to: &mut dyn Write| {
            numbers.iter().try_for_each(|number| to.write_all(&number.to_le_bytes()))
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let numbers = bytes.chunks_exact(8).map(|chunk| chunk.try_into().unwrap());
        self.numbers = numbers.map(u64::from_le_bytes).collect();
        Ok(())
    }
}
