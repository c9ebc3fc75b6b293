//! What a server keeps on disk besides its log: how far it has come into the cluster, where the servers are
//! (rule M9), and what it promises (rule C4).
//!
//! The file `members` is text with a checksum in the last line. A new one is written aside, synced and
//! renamed, so a crash leaves the old one or the new one.

use crate::error::{AddressError, StartError};
use kontiki::ServerId;
use kontiki_store::Directory;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The file.
pub(crate) const FILE: &str = "members";
const FILE_NEW: &str = "members.new";
const FIRST_LINE: &str = "kontiki members, format 2";
/// How the first line begins in every format.
const EVERY_FORMAT: &str = "kontiki members, format ";
/// No file is larger.
const MOST_BYTES: u64 = 4 << 20;
/// The most servers that are known.
pub(crate) const MOST_SERVERS: usize = 1024;
/// The longest address. A name has at most 253 letters.
pub(crate) const MOST_ADDRESS: usize = 300;

/// How far a server has come. What it does next follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It is to form a cluster and has not.
    Forming,
    /// It is to join a cluster, and the leader has not added it.
    Joining,
    /// The leader has added it. It is to be a voter and has not been one.
    Admitted,
    /// It has come into the cluster. What becomes of it now is in the log.
    Member,
}

impl Stage {
    const ALL: [(Stage, &str); 4] = [
        (Stage::Forming, "forming"),
        (Stage::Joining, "joining"),
        (Stage::Admitted, "admitted"),
        (Stage::Member, "member"),
    ];

    fn name(self) -> &'static str {
        Stage::ALL.iter().find(|(stage, _)| *stage == self).map_or("", |(_, name)| name)
    }

    /// Whether the server may have promised something to others.
    pub(crate) fn takes_part(self) -> bool {
        self >= Stage::Admitted
    }
}

/// A server, as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is reached, as `host:port`. Empty if nobody has said.
    pub(crate) address: String,
    /// Which of two addresses is newer. 0 for one that was only configured.
    pub(crate) version: u64,
    /// The number of its disk. A server that comes back with another one has forgotten what it promised.
    pub(crate) disk: Option<u128>,
}

/// Servers, as they are known to one of them and told to others.
pub(crate) type Entries = BTreeMap<ServerId, Entry>;

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    /// The number of this server's disk, drawn when the directory was new.
    pub(crate) disk: u128,
    pub(crate) stage: Stage,
    /// How long leaders may rely on what the server promises ([`crate::promise`]).
    pub(crate) promise: Duration,
    /// The voters that formed the cluster. Empty at a server that has not learnt of them.
    pub(crate) founders: BTreeSet<ServerId>,
    pub(crate) entries: Entries,
}

impl Book {
    pub(crate) fn new(stage: Stage, founders: BTreeSet<ServerId>) -> Book {
        let disk = u128::from(random()) << 64 | u128::from(random());
        Book { disk, stage, promise: Duration::ZERO, founders, entries: Entries::new() }
    }

    /// Takes up what another server knows, or what was configured. Newer addresses replace older ones. The
    /// first disk of a server that is heard of is the one that counts.
    pub(crate) fn merge(&mut self, others: Entries) {
        for (server, entry) in others {
            let full = self.entries.len() >= MOST_SERVERS;
            match self.entries.get_mut(&server) {
                None if full => {}
                None => drop(self.entries.insert(server, entry)),
                Some(known) => {
                    known.disk = known.disk.or(entry.disk);
                    if (entry.version, &entry.address) > (known.version, &known.address) {
                        known.version = entry.version;
                        known.address = entry.address;
                    }
                }
            }
        }
    }

    /// As [`Book::merge`], but only this server knows where it is itself. If others have another address,
    /// they have to be told again.
    pub(crate) fn learn(&mut self, own: ServerId, others: Entries) {
        let mine = self.entries.get(&own).cloned();
        self.merge(others);
        if let (Some(mine), Some(now)) = (mine, self.entries.get_mut(&own))
            && mine.address != now.address
        {
            *now = Entry { version: now.version.saturating_add(1), ..mine };
        }
    }

    /// A server is at this address from now on.
    pub(crate) fn set_address(&mut self, server: ServerId, address: &str) {
        let address = address.to_owned();
        match self.entries.get_mut(&server) {
            Some(known) if known.address == address => {}
            Some(known) => {
                known.version = known.version.saturating_add(1);
                known.address = address;
            }
            None => {
                self.merge(Entries::from([(server, Entry { address, version: 1, disk: None })]))
            }
        }
    }

    fn to_text(&self) -> String {
        let Book { disk, stage, promise, founders, entries } = self;
        let founders: Vec<String> = founders.iter().map(|server| server.0.to_string()).collect();
        let mut text = format!(
            "{FIRST_LINE}\ndisk {disk:032x}\nstage {}\npromise {}\nfounders {}\n",
            stage.name(),
            promise.as_nanos(),
            founders.join(" ")
        );
        for (server, Entry { address, version, disk }) in entries {
            let disk = disk.map_or_else(|| "-".to_owned(), |disk| format!("{disk:032x}"));
            // Writing to a string does not fail.
            let _ = writeln!(text, "server {} {version} {disk} {address}", server.0);
        }
        let sum = crc32c::crc32c(text.as_bytes());
        format!("{text}checksum {sum:08x}\n")
    }

    fn from_text(text: &str) -> Option<Book> {
        let body = checked(text)?;
        let mut lines = body.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?.lines();
        let disk = u128::from_str_radix(lines.next()?.strip_prefix("disk ")?, 16).ok()?;
        let name = lines.next()?.strip_prefix("stage ")?;
        let (stage, _) = *Stage::ALL.iter().find(|(_, known)| *known == name)?;
        let promise = lines.next()?.strip_prefix("promise ")?.parse().ok()?;
        let promise = Duration::from_nanos(promise);
        let founders = lines.next()?.strip_prefix("founders ")?.split_whitespace();
        let founders = founders.map(|id| id.parse().ok().map(ServerId)).collect::<Option<_>>()?;
        let entries = lines.map(entry_from).collect::<Option<_>>()?;
        Some(Book { disk, stage, promise, founders, entries })
    }

    /// Reads the file; `None` if there is none.
    pub(crate) fn read(directory: &dyn Directory) -> Result<Option<Book>, StartError> {
        let failed = |source| StartError::Members { file: directory.describe(FILE), source };
        let file = match directory.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let size = file.size().map_err(failed)?.min(MOST_BYTES);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let file = directory.describe(FILE);
        match Book::from_text(text) {
            Some(book) => Ok(Some(book)),
            None if is_of_another_format(text) => Err(StartError::MembersVersion { file }),
            None => Err(StartError::MembersDamaged { file }),
        }
    }

    /// Writes the file, durably.
    pub(crate) fn write(&self, directory: &dyn Directory) -> io::Result<()> {
        let file = directory.create(FILE_NEW)?;
        file.write_at(0, self.to_text().as_bytes())?;
        file.sync()?;
        directory.rename(FILE_NEW, FILE)?;
        directory.sync()
    }
}

/// All but the last line, if that has the right checksum.
fn checked(text: &str) -> Option<&str> {
    let (body, sum) = text.strip_suffix('\n')?.rsplit_once("checksum ")?;
    (format!("{:08x}", crc32c::crc32c(body.as_bytes())) == sum).then_some(body)
}

/// Whether this is the whole file of another version.
fn is_of_another_format(text: &str) -> bool {
    let body = checked(text).and_then(|body| body.strip_prefix(EVERY_FORMAT));
    body.is_some_and(|_| !text.starts_with(FIRST_LINE))
}

fn entry_from(line: &str) -> Option<(ServerId, Entry)> {
    let mut words = line.strip_prefix("server ")?.splitn(4, ' ');
    let server = ServerId(words.next()?.parse().ok()?);
    let version = words.next()?.parse().ok()?;
    let disk = match words.next()? {
        "-" => None,
        disk => Some(u128::from_str_radix(disk, 16).ok()?),
    };
    let address = words.next()?.to_owned();
    Some((server, Entry { address, version, disk }))
}

/// Whether something can be the address of a server.
pub(crate) fn check_address(address: &str) -> Result<(), AddressError> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let is_port = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_plain = address.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if !is_port || !is_plain || address.len() > MOST_ADDRESS {
        let address = address.chars().take(MOST_ADDRESS).collect();
        return Err(AddressError::Malformed { address });
    }
    match address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified()) {
        true => Err(AddressError::Unspecified { address: address.to_owned() }),
        false => Ok(()),
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_store::kit::MemoryDirectory;

    fn book() -> Book {
        let mut book = Book::new(Stage::Admitted, [ServerId(1), ServerId(2)].into());
        book.set_address(ServerId(1), "127.0.0.1:7001");
        book.set_address(ServerId(2), "[::1]:7002");
        book.set_address(ServerId(2), "two.invalid:7002");
        if let Some(entry) = book.entries.get_mut(&ServerId(2)) {
            entry.disk = Some(7);
        }
        book.promise = Duration::from_millis(1500);
        book
    }

    #[test]
    fn what_is_written_is_read_and_every_altered_byte_is_noticed() {
        for book in [book(), Book::new(Stage::Joining, BTreeSet::new())] {
            let text = book.to_text();
            assert_eq!(Book::from_text(&text), Some(book));
            for place in 0..text.len() {
                for bit in 0..8 {
                    let mut bytes = text.clone().into_bytes();
                    bytes[place] ^= 1 << bit;
                    let altered = String::from_utf8_lossy(&bytes).into_owned();
                    assert_eq!(Book::from_text(&altered), None, "{altered}");
                }
            }
        }
    }

    /// What is written counts on nothing being forgotten of it: who is known by which disk, and that the server
    /// has come into its cluster.
    #[test]
    fn a_loss_of_power_leaves_the_old_file_or_the_new_one() {
        let (old, mut new) = (book(), book());
        new.stage = Stage::Member;
        // The file has several sectors.
        (3..40).for_each(|id| new.set_address(ServerId(id), "three.invalid:7003"));
        let directory = MemoryDirectory::new();
        old.write(&directory).unwrap();
        let replaced_from = directory.operations();
        new.write(&directory).unwrap();
        let operations = directory.history();
        for at in 0..=operations.count() {
            let possible = match at {
                at if at == operations.count() => vec![Some(&new)],
                at if at >= replaced_from => vec![Some(&old), Some(&new)],
                _ => vec![None, Some(&old)],
            };
            for seed in 0..100 {
                let left = MemoryDirectory::with(operations.after_power_loss(at, seed));
                let left = Book::read(&left).unwrap();
                assert!(possible.contains(&left.as_ref()), "{at}, {seed}: {left:?}");
            }
        }
    }

    #[test]
    fn a_file_of_another_version_is_told_from_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let directory = kontiki_store::RealDirectory::at(folder.path()).unwrap();
        let other = format!("{EVERY_FORMAT}3\nanything\n");
        let sum = crc32c::crc32c(other.as_bytes());
        for (text, is_damaged) in [
            (format!("{other}checksum {sum:08x}\n"), false),
            (format!("{other}checksum {:08x}\n", sum ^ 1), true),
            (book().to_text().replace("stage admitted", "stage admitte"), true),
        ] {
            std::fs::write(folder.path().join(FILE), &text).unwrap();
            match Book::read(&directory) {
                Err(StartError::MembersDamaged { .. }) => assert!(is_damaged, "{text}"),
                Err(StartError::MembersVersion { .. }) => assert!(!is_damaged, "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_newer_address_wins_in_any_order_and_the_first_disk_stays() {
        let entry = |address: &str, version, disk| Entry { address: address.into(), version, disk };
        let told = [entry("b:1", 2, None), entry("a:1", 2, Some(3)), entry("z:1", 1, None)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut book = Book::new(Stage::Member, BTreeSet::new());
            order.iter().for_each(|one: &usize| {
                book.merge(Entries::from([(ServerId(4), told[*one].clone())]))
            });
            book.merge(Entries::from([(ServerId(4), entry("a:1", 0, Some(9)))]));
            assert_eq!(book.entries[&ServerId(4)], entry("b:1", 2, Some(3)));
        }
    }

    #[test]
    fn the_number_of_servers_is_bounded() {
        let mut book = Book::new(Stage::Member, BTreeSet::new());
        let entry = Entry { address: "a:1".to_owned(), version: 1, disk: None };
        book.merge((0..5_000).map(|id| (ServerId(id), entry.clone())).collect());
        assert_eq!(book.entries.len(), MOST_SERVERS);
    }

    #[test]
    fn addresses_are_names_or_numbers_and_a_port() {
        for good in ["127.0.0.1:1", "[::1]:7000", "one.invalid:65535"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        let long = format!("{}:1", "a".repeat(MOST_ADDRESS));
        for bad in ["", "one", ":7000", "one:", "one:0", "one:70000", "a b:1", "a\n:1", &long] {
            assert!(matches!(check_address(bad), Err(AddressError::Malformed { .. })), "{bad}");
        }
        for nowhere in ["0.0.0.0:7000", "[::]:7000"] {
            let address = nowhere.to_owned();
            assert_eq!(check_address(nowhere), Err(AddressError::Unspecified { address }));
        }
    }
}
