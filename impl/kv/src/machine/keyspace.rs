//! Keys and values in memory, of which an image can be had at once.

use kontiki_node::kontiki::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Keys are spread over so many maps.
const SHARDS: usize = 1024;
/// The most keys that are removed at a time because they have expired. Those that are left are as good as
/// removed, and the next entry goes on. So no entry takes long.
const MOST_REMOVED: usize = 1024;

type Shard = BTreeMap<Box<[u8]>, Stored>;

/// A value, and how long it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) value: Bytes,
    /// In milliseconds since 1970. The key is there while log time is before this.
    pub(super) deadline: Option<u64>,
}

/// All keys. An image is a list of references to the shards. While there is one, a shard is copied before it
/// is changed for the first time, without its values. So a change waits for a copy of a 1024th of the keys at
/// most. The maps are ordered: their bytes do not depend on hashing.
#[derive(Debug)]
pub(super) struct Keyspace {
    shards: Vec<Arc<Shard>>,
    count: u64,
    deadlines: BTreeSet<(u64, Box<[u8]>)>,
    time: u64,
}

/// All keys at one moment.
#[derive(Debug)]
pub(super) struct Image {
    shards: Vec<Arc<Shard>>,
    pub(super) count: u64,
    pub(super) time: u64,
}

impl Default for Keyspace {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Arc::default()).collect();
        Keyspace { shards, count: 0, deadlines: BTreeSet::new(), time: 0 }
    }
}

fn shard_of(key: &[u8]) -> usize {
    (xxh3_64(key) % SHARDS as u64) as usize
}

impl Keyspace {
    /// Log time, in milliseconds since 1970.
    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// How many keys there are. Of many that expired together, some may be counted for a while.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// An entry has this time. Log time never goes back.
    pub(super) fn advance(&mut self, time: u64) {
        self.time = self.time.max(time);
        for _ in 0..MOST_REMOVED {
            match self.deadlines.first() {
                Some((deadline, _)) if *deadline <= self.time => {}
                _ => break,
            }
            if let Some((_, key)) = self.deadlines.pop_first()
                && Arc::make_mut(&mut self.shards[shard_of(&key)]).remove(&key).is_some()
            {
                self.count -= 1;
            }
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Stored> {
        let stored = self.shards[shard_of(key)].get(key)?;
        let is_there = stored.deadline.is_none_or(|deadline| deadline > self.time);
        is_there.then_some(stored)
    }

    /// Gives a key a value. With a deadline that has passed, the key is removed.
    pub(super) fn put(&mut self, key: &[u8], value: Bytes, deadline: Option<u64>) {
        if deadline.is_some_and(|deadline| deadline <= self.time) {
            self.remove(key);
            return;
        }
        let shard = Arc::make_mut(&mut self.shards[shard_of(key)]);
        let before = match shard.get_mut(key) {
            Some(stored) => {
                stored.value = value;
                std::mem::replace(&mut stored.deadline, deadline)
            }
            None => {
                shard.insert(key.into(), Stored { value, deadline });
                self.count += 1;
                None
            }
        };
        self.schedule(key, before, deadline);
    }

    /// Removes a key, and says whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let was_there = self.get(key).is_some();
        if let Some(stored) = Arc::make_mut(&mut self.shards[shard_of(key)]).remove(key) {
            self.count -= 1;
            self.schedule(key, stored.deadline, None);
        }
        was_there
    }

    fn schedule(&mut self, key: &[u8], before: Option<u64>, deadline: Option<u64>) {
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.deadlines.remove(&(before, key.into()));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key.into()));
        }
    }

    pub(super) fn image(&self) -> Image {
        Image { shards: self.shards.clone(), count: self.count, time: self.time }
    }

    /// No keys, at this time.
    pub(super) fn at(time: u64) -> Keyspace {
        Keyspace { time, ..Keyspace::default() }
    }

    /// Takes in a key of an image. Those that have expired stay until they are removed, as at the server that
    /// the image is of.
    pub(super) fn insert(&mut self, key: Box<[u8]>, stored: Stored) {
        if let Some(deadline) = stored.deadline {
            self.deadlines.insert((deadline, key.clone()));
        }
        let shard = Arc::make_mut(&mut self.shards[shard_of(&key)]);
        if shard.insert(key, stored).is_none() {
            self.count += 1;
        }
    }
}

impl Image {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Stored)> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|(key, stored)| (&**key, stored))
    }
}
