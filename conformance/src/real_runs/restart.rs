//! What a server may come back with (rules E3, L11, S1, S2).

use super::start::stored;
use kontiki_model::server::{Disk, RaftServer, ServerState, Write};
use kontiki_specs::recording::Checkpoint;
use kontiki_specs::{LogIndex, Observation, Snapshot};

/// The state in which the server has started, if its disk may hold that after a crash in this state: the
/// first outstanding writes may be done, and part of the next, and the snapshot that was being taken may
/// be whole. If it may not, the state with none of these done.
pub(super) fn restarted(
    server: &RaftServer,
    crashed: &ServerState,
    begins: &Checkpoint,
) -> Result<ServerState, Box<ServerState>> {
    let shown = &begins.observation;
    let starts = |disk: &Disk| {
        let state = server.recover(disk.clone(), shown.incarnation);
        let found = state.log.last_index() == last_index(shown)
            && (state.term, state.vote) == (shown.term, shown.vote)
            && state.receiving.as_ref().map(|part| &part.snapshot) == begins.receiving.as_ref()
            && state.observe() == *shown;
        found.then_some(state)
    };
    let taken = with_taken(crashed, shown);
    for disk in [Some(&crashed.disk), taken.as_ref()].into_iter().flatten() {
        let mut disk = disk.clone();
        for write in &crashed.writes {
            if let Some(state) = starts(&disk) {
                return Ok(state);
            }
            for written in parts(write, shown) {
                let mut torn = disk.clone();
                write.tear(written, &mut torn);
                if let Some(state) = starts(&torn) {
                    return Ok(state);
                }
            }
            write.carry_out(&mut disk);
        }
        if let Some(state) = starts(&disk) {
            return Ok(state);
        }
    }
    Err(Box::new(server.recover(crashed.disk.clone(), shown.incarnation)))
}

fn last_index(shown: &Observation) -> LogIndex {
    shown.log.last().map_or(shown.log_base.index, |entry| entry.index)
}

/// The disk with the snapshot that was being taken, of which the server was not told that it is there.
fn with_taken(crashed: &ServerState, shown: &Observation) -> Option<Disk> {
    let taking = crashed.taking.as_ref()?;
    let own = shown.snapshot.as_ref().filter(|own| own.id == taking.about.id)?;
    let snapshot = stored(&Snapshot { size: own.size, ..taking.about.clone() });
    Some(Disk { snapshot: Some(snapshot), ..crashed.disk.clone() })
}

/// As how much of a write the server may show: one part, if any, would explain it.
fn parts(write: &Write, shown: &Observation) -> Vec<u64> {
    match write {
        Write::Entries { first_index, entries, .. } => {
            let written = (last_index(shown).0 + 1).checked_sub(first_index.0);
            written.filter(|written| *written < entries.len() as u64).into_iter().collect()
        }
        Write::Chunk { offset, data, .. } => {
            let shown = shown.receiving.map_or(0, |part| part.durable);
            let written = shown.checked_sub(*offset);
            written.filter(|written| (1..data.len() as u64).contains(written)).into_iter().collect()
        }
        Write::Install { .. } => vec![0],
        Write::HardState { .. } => Vec::new(),
    }
}
