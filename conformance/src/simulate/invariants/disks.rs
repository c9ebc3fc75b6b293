//! Disks: what is committed is on those of a quorum.

use super::{Broken, Invariants};
use crate::simulate::problem::Invariant;
use kontiki::storage::MemoryStore;
use kontiki_specs::{Entry, Term};

impl Invariants {
    pub(super) fn look_at_disk(&mut self, place: usize, disk: Option<&MemoryStore>) {
        if let (Some(on_disk), Some(disk)) = (self.on_disk.get_mut(place), disk) {
            let same = |((committed, _), entry): &(&(Entry, Term), &Entry)| {
                committed.position() == entry.position()
            };
            *on_disk = self.history.iter().zip(disk.log()).take_while(same).count();
        }
    }

    pub(super) fn committed_is_on_disks(&self) -> Result<(), Broken> {
        for (until, quorums) in &self.committed_by {
            let disks = self.set_of(|place| self.on_disk.get(place) >= Some(until));
            if !quorums.contains(disks) {
                let disks = disks.count_ones();
                let how = format!("{disks} disks hold everything up to entry {until}");
                return Err((Invariant::CommittedOnDisks, how));
            }
        }
        Ok(())
    }
}
