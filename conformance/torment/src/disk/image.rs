//! What a disk holds: its files as they are read, and what would be left of them after a loss of power.
//!
//! What was synced stands in plain files in a directory, the platter. What was written since is kept in
//! memory, sector by sector, as a system keeps it in its cache. So is what was done to names since the directory
//! was synced. A loss of power drops all of that, or a part of it, within what file systems promise:
//!
//! * What a file was synced with is there.
//! * Of what was written to it since, each sector of 512 bytes is there entirely or not at all. Where the file was
//!   made longer, the rest is zeros, or the file ends before.
//! * Where a file was cut off, that is there or is not. What was written after it is not there without it.
//! * Changes of names are there in their order, up to some point. Those before a sync of the directory are.

use nix::errno::Errno;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What is written entirely or not at all, in bytes.
const SECTOR: u64 = 512;
type Sector = [u8; SECTOR as usize];

/// The files of a disk, in one directory. A file is known by a number that no other file ever has.
pub struct Image {
    platter: PathBuf,
    files: BTreeMap<u64, Content>,
    names: BTreeMap<OsString, u64>,
    durable_names: BTreeMap<OsString, u64>,
    /// What was done to names since the directory was synced, in order.
    changes: Vec<Change>,
    next: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Name(OsString, u64),
    Remove(OsString),
    Rename(OsString, OsString),
}

struct Content {
    platter: File,
    /// Its size on the platter.
    durable_size: u64,
    size: u64,
    /// How much of what is on the platter counts: less than there is if the file was cut off since.
    valid: u64,
    /// Sectors that were written since the last sync.
    dirty: BTreeMap<u64, Sector>,
    /// How often it is open.
    open: u64,
}

/// What a loss of power, or a sync that failed, has made of what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Sectors that were lost, and looked otherwise before they were written.
    pub sectors: u64,
    /// Sectors that are there, though nobody has synced them.
    pub kept: u64,
    /// Changes of names that were lost.
    pub names: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { sectors, kept, names } = self;
        write!(
            formatter,
            "{sectors} sectors and {names} changes of names lost, {kept} sectors kept"
        )
    }
}

/// Which of the sectors are kept that were not synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Nothing,
    /// Those up to some place.
    First,
    /// Any.
    Some,
    All,
}

impl Image {
    /// An empty disk. The directory of the platter is made.
    pub fn new(platter: PathBuf) -> io::Result<Image> {
        fs::create_dir_all(&platter)?;
        Ok(Image {
            platter,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            // A file system's root is number 1.
            next: 2,
        })
    }

    /// The number of the file that has a name.
    pub fn find(&self, name: &OsStr) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// The name of a file, if it has one.
    pub fn name_of(&self, file: u64) -> Option<&OsStr> {
        self.names.iter().find(|(_, of)| **of == file).map(|(name, _)| name.as_os_str())
    }

    /// All names, and the numbers of their files.
    pub fn names(&self) -> Vec<(OsString, u64)> {
        self.names.iter().map(|(name, file)| (name.clone(), *file)).collect()
    }

    /// How many bytes a file has.
    pub fn size(&self, file: u64) -> io::Result<u64> {
        Ok(self.file(file)?.size)
    }

    /// Makes an empty file, in place of any that has the name.
    pub fn create(&mut self, name: &OsStr) -> io::Result<u64> {
        let number = self.next;
        self.next += 1;
        let path = self.platter.join(number.to_string());
        let mut options = OpenOptions::new();
        let platter = options.create_new(true).read(true).write(true).open(path)?;
        let (dirty, open) = (BTreeMap::new(), 0);
        let content = Content { platter, durable_size: 0, size: 0, valid: 0, dirty, open };
        self.files.insert(number, content);
        self.change(Change::Name(name.to_owned(), number));
        Ok(number)
    }

    /// Takes a name away. Its file stays for as long as it is open.
    pub fn remove(&mut self, name: &OsStr) -> io::Result<()> {
        self.find(name).ok_or(Errno::ENOENT)?;
        self.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    /// Gives a file another name, in place of any that has it.
    pub fn rename(&mut self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.find(from).ok_or(Errno::ENOENT)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// Somebody has opened a file.
    pub fn opened(&mut self, file: u64) -> io::Result<()> {
        self.file_mut(file)?.open += 1;
        Ok(())
    }

    /// Somebody has closed it.
    pub fn closed(&mut self, file: u64) {
        if let Ok(content) = self.file_mut(file) {
            content.open = content.open.saturating_sub(1);
        }
        self.let_go();
    }

    /// At most so many bytes of a file, from this one on.
    pub fn read(&self, file: u64, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let content = self.file(file)?;
        let end = content.size.min(offset.saturating_add(most));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap_or_default()];
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let durable = usize::try_from(content.valid.min(end).saturating_sub(offset));
        content.platter.read_exact_at(&mut bytes[..durable.unwrap_or_default()], offset)?;
        for (number, sector) in content.dirty.range(offset / SECTOR..=(end - 1) / SECTOR) {
            let start = number * SECTOR;
            for (at, byte) in (start..).zip(sector) {
                if (offset..end).contains(&at) {
                    bytes[(at - offset) as usize] = *byte;
                }
            }
        }
        Ok(bytes)
    }

    /// Writes to a file, and makes it longer if need be.
    pub fn write(&mut self, file: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let content = self.file_mut(file)?;
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        while at < end {
            let number = at / SECTOR;
            let mut sector = content.sector(number)?;
            let next = end.min((number + 1) * SECTOR);
            let (from, to) = ((at - offset) as usize, (next - offset) as usize);
            let start = (at % SECTOR) as usize;
            sector[start..start + (to - from)].copy_from_slice(&bytes[from..to]);
            content.dirty.insert(number, sector);
            at = next;
        }
        content.size = content.size.max(end);
        Ok(())
    }

    /// Cuts a file off, or makes it longer by zeros.
    pub fn set_size(&mut self, file: u64, size: u64) -> io::Result<()> {
        let content = self.file_mut(file)?;
        if size < content.size {
            content.valid = content.valid.min(size);
            content.dirty.split_off(&size.div_ceil(SECTOR));
            let rest = (size % SECTOR) as usize;
            if let Some(sector) = content.dirty.get_mut(&(size / SECTOR)) {
                sector[rest..].fill(0);
            }
        }
        content.size = size;
        Ok(())
    }

    /// Makes durable what was written to a file.
    pub fn sync(&mut self, file: u64) -> io::Result<()> {
        self.file_mut(file)?.sync()
    }

    /// A sync that fails: some of what was written to a file is on the platter then, and the rest is lost, as
    /// systems lose it whose cache counts as written after an error.
    pub fn sync_fails(&mut self, file: u64, random: &mut StdRng) -> io::Result<Loss> {
        let luck = random_luck(random);
        self.file_mut(file)?.lose(luck, false, random)
    }

    /// Makes durable which names there are.
    pub fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.changes.clear();
        self.let_go();
    }

    /// Power is lost. Unless `everything` that was not synced is lost, some of it may be there; but something is lost
    /// in any case, if there is something to lose.
    pub fn lose_power(&mut self, everything: bool, random: &mut StdRng) -> io::Result<Loss> {
        let mut whole = Loss::default();
        let mut unlucky = BTreeSet::new();
        for (number, content) in &self.files {
            if content.can_lose()? && (unlucky.is_empty() || random.random_bool(0.5)) {
                unlucky.insert(*number);
            }
        }
        for (number, content) in &mut self.files {
            let luck = match random_luck(random) {
                _ if everything => Luck::Nothing,
                luck => luck,
            };
            let loss = content.lose(luck, unlucky.contains(number), random)?;
            whole.sectors += loss.sectors;
            whole.kept += loss.kept;
        }
        let count = self.changes.len();
        let kept = if everything { 0 } else { random.random_range(0..=count) };
        for change in self.changes.drain(..).take(kept) {
            apply(&mut self.durable_names, &change);
        }
        whole.names = (count - kept) as u64;
        self.names.clone_from(&self.durable_names);
        self.let_go();
        Ok(whole)
    }

    /// Writes everything to the platter, under the names that files have. Nobody may use the disk afterwards.
    pub fn write_out(&mut self) -> io::Result<()> {
        self.files.values_mut().for_each(|content| content.open = 0);
        self.sync_names();
        for (name, file) in &self.names {
            let content = self.files.get_mut(file).ok_or(Errno::ENOENT)?;
            content.sync()?;
            fs::rename(self.platter.join(file.to_string()), self.platter.join(name))?;
        }
        Ok(())
    }

    /// Forgets files that nobody can come to any more.
    fn let_go(&mut self) {
        let mut needed: BTreeSet<u64> = self.names.values().copied().collect();
        needed.extend(self.durable_names.values());
        needed.extend(self.changes.iter().filter_map(|change| match change {
            Change::Name(_, file) => Some(*file),
            Change::Remove(_) | Change::Rename(..) => None,
        }));
        let platter = &self.platter;
        self.files.retain(|number, content| {
            let stays = content.open > 0 || needed.contains(number);
            if !stays {
                // One that stays takes room, and nothing else.
                drop(fs::remove_file(platter.join(number.to_string())));
            }
            stays
        });
    }

    fn file(&self, number: u64) -> io::Result<&Content> {
        self.files.get(&number).ok_or_else(|| Errno::ENOENT.into())
    }

    fn file_mut(&mut self, number: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&number).ok_or_else(|| Errno::ENOENT.into())
    }
}

impl Content {
    /// A sector as it is read.
    fn sector(&self, number: u64) -> io::Result<Sector> {
        match self.dirty.get(&number) {
            Some(sector) => Ok(*sector),
            None => self.durable_sector(number),
        }
    }

    /// A sector as it would be if nothing had been written to it since the last sync.
    fn durable_sector(&self, number: u64) -> io::Result<Sector> {
        let mut sector = [0; SECTOR as usize];
        let start = number * SECTOR;
        let there = self.valid.saturating_sub(start).min(SECTOR) as usize;
        self.platter.read_exact_at(&mut sector[..there], start)?;
        Ok(sector)
    }

    fn sync(&mut self) -> io::Result<()> {
        let dirty = std::mem::take(&mut self.dirty);
        self.put(dirty, self.size)?;
        self.platter.sync_data()
    }

    /// Puts sectors on the platter. The file has this size then.
    fn put(&mut self, sectors: BTreeMap<u64, Sector>, size: u64) -> io::Result<()> {
        if self.valid < self.durable_size {
            self.platter.set_len(self.valid)?;
        }
        let mut run = Vec::new();
        let mut start = 0;
        for (number, sector) in sectors {
            if start + run.len() as u64 != number * SECTOR {
                self.platter.write_all_at(&run, start)?;
                run.clear();
                start = number * SECTOR;
            }
            run.extend_from_slice(&sector);
        }
        self.platter.write_all_at(&run, start)?;
        self.platter.set_len(size)?;
        (self.durable_size, self.size, self.valid) = (size, size, size);
        Ok(())
    }

    /// Whether anything would be different without what was not synced.
    fn can_lose(&self) -> io::Result<bool> {
        for (number, sector) in &self.dirty {
            if self.durable_sector(*number)? != *sector {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops what was not synced, as luck has it. If something must be lost, a sector is lost that looks otherwise
    /// on the platter, if there is one.
    fn lose(&mut self, luck: Luck, must: bool, random: &mut StdRng) -> io::Result<Loss> {
        let was_cut = self.valid < self.durable_size || self.size < self.durable_size;
        let mut dirty = std::mem::take(&mut self.dirty);
        let size = match luck {
            Luck::All => self.size,
            Luck::Nothing => self.durable_size,
            _ if was_cut => *[self.size, self.durable_size].iter().choose(random).unwrap_or(&0),
            _ => random.random_range(self.durable_size..=self.size),
        };
        let mut loss = Loss::default();
        let kept = match luck {
            // What was written after a cut is not there without it.
            _ if was_cut && size == self.durable_size => 0,
            Luck::Nothing => 0,
            Luck::All => dirty.len(),
            Luck::First | Luck::Some => random.random_range(0..=dirty.len()),
        };
        let mut which: Vec<u64> = dirty.keys().copied().collect();
        if luck == Luck::Some {
            which = which.into_iter().choose_multiple(random, kept);
        }
        which.truncate(kept);
        which.retain(|number| number * SECTOR < size);
        let mut which: BTreeSet<u64> = which.into_iter().collect();
        if must {
            let mut differ = Vec::new();
            for (number, sector) in &dirty {
                if self.durable_sector(*number)? != *sector {
                    differ.push(*number);
                }
            }
            if let Some(lost) = differ.iter().choose(random) {
                which.remove(lost);
            }
        }
        for (number, sector) in &dirty {
            match which.contains(number) {
                true => loss.kept += 1,
                false => loss.sectors += u64::from(self.durable_sector(*number)? != *sector),
            }
        }
        dirty.retain(|number, _| which.contains(number));
        if was_cut && size == self.durable_size {
            (self.size, self.valid) = (size, size);
        } else {
            self.put(dirty, size)?;
        }
        Ok(loss)
    }
}

fn random_luck(random: &mut StdRng) -> Luck {
    match random.random_range(0..8) {
        0 => Luck::All,
        1..3 => Luck::Nothing,
        3..5 => Luck::First,
        _ => Luck::Some,
    }
}

fn apply(names: &mut BTreeMap<OsString, u64>, change: &Change) {
    match change {
        Change::Name(name, file) => drop(names.insert(name.clone(), *file)),
        Change::Remove(name) => drop(names.remove(name)),
        Change::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}
