//! A cluster of one server, and the loop that every driver has at its heart.

use kontiki::core::{Config, Outputs, Raft, completion};
use kontiki::storage::MemoryStore;
use kontiki::{Input, Output, ServerId};
use std::collections::VecDeque;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id = ServerId(1);
    let mut server = Raft::start(Config::new(id, [id]), MemoryStore::new())?;
    let mut outputs = Outputs::new();
    let commands = vec![b"x = 1".as_slice().into()];
    for event in [Input::ElectionTimeout, Input::Propose { commands }] {
        let mut inputs = VecDeque::from([event]);
        while let Some(input) = inputs.pop_front() {
            server.step(input, &mut outputs)?;
            for output in outputs.drain() {
                println!("{output}"); // A driver would send, apply and answer clients here.
                if let Some(completion) = completion(&output) {
                    server.store_mut().write(&output);
                    inputs.push_back(completion); // A real disk says so later.
                }
                if let Output::Apply { entries } = &output {
                    // So does a state machine that takes its time.
                    inputs.extend(entries.last_index().map(|index| Input::Executed { index }));
                }
            }
        }
    }
    Ok(())
}
