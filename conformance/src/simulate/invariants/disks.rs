//! Disks: what is committed is on those of a quorum, and nothing is gone that no snapshot covers.

use super::{Broken, Invariants};
use crate::simulate::memberships::ServerSet;
use crate::simulate::problem::Invariant;
use kontiki::storage::{LogStore, MemoryStore};
use kontiki_specs::LogIndex;

/// How much of the history a disk holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OnDisk {
    /// Up to where by a snapshot.
    covered: LogIndex,
    /// Up to where in all.
    held: LogIndex,
}

impl Invariants {
    /// How much of the history a disk holds: what its snapshot covers, and then its log's entries.
    pub(super) fn look_at_disk(
        &mut self,
        place: usize,
        disk: Option<&MemoryStore>,
    ) -> Result<(), Broken> {
        let Some(disk) = disk else { return Ok(()) };
        let covered = disk.snapshot().ok().flatten().map(|own| own.id.last).unwrap_or_default();
        let base = disk.base().unwrap_or_default();
        if base.index > covered.index {
            let how = format!("its disk's log begins behind {base}, and {covered} is covered");
            return Err((Invariant::NothingLetGoUncovered, how));
        }
        let committed_at = |index| self.committed_at(index).map(|committed| committed.position);
        let mut held = LogIndex::ZERO;
        if committed_at(covered.index) == Some(covered) {
            held = covered.index;
        }
        let skipped = usize::try_from(covered.index.0 - base.index.0).unwrap_or(usize::MAX);
        for entry in disk.log().get(skipped..).unwrap_or_default() {
            if entry.index != held.next() || committed_at(entry.index) != Some(entry.position()) {
                break;
            }
            held = entry.index;
        }
        let Some(on_disk) = self.on_disk.get_mut(place) else { return Ok(()) };
        if covered.index < on_disk.covered {
            let how = format!("its disk has a snapshot of {covered}, and had a later one");
            return Err((Invariant::CommittedOnDisks, how));
        }
        *on_disk = OnDisk { covered: covered.index.min(held), held };
        Ok(())
    }

    pub(super) fn committed_is_on_disks(&mut self) -> Result<(), Broken> {
        for (until, quorums) in &self.committed_by {
            let disks = self.disks(|on_disk| on_disk.held >= *until);
            if !quorums.contains(disks) {
                let disks = disks.count_ones();
                let how = format!("{disks} disks hold everything up to entry {until}");
                return Err((Invariant::CommittedOnDisks, how));
            }
        }
        self.forget_what_is_covered();
        Ok(())
    }

    /// What snapshots on the disks of a quorum cover stays on disk, for no snapshot goes back. Of the
    /// rest the last is kept, for what is committed next may have the same quorums.
    fn forget_what_is_covered(&mut self) {
        while let [(until, quorums), _, ..] = self.committed_by[..]
            && quorums.contains(self.disks(|on_disk| on_disk.covered >= until))
        {
            self.committed_by.remove(0);
        }
    }

    /// The servers of whose disks this is true.
    fn disks(&self, is_so: impl Fn(&OnDisk) -> bool) -> ServerSet {
        self.set_of(|place| self.on_disk.get(place).is_some_and(&is_so))
    }
}
