//! Kontiki's log, term and vote, and snapshots on files.
//!
//! [`open`] gives the two halves of a store. [`FileStore`] reads: it goes to the core, and clones of it
//! to whoever sends and takes snapshots. [`FileWriter`] writes: it goes to the thread that waits for the
//! disk. What the core asks for is handed to it in order, many writes at a time, and made durable by one
//! sync.
//!
//! ```
//! use kontiki::core::{Config, Outputs, Raft, completion};
//! use kontiki::storage::LogWriter;
//! use kontiki::{Input, Output, RoleKind, ServerId};
//! use kontiki_store::{Identity, Opened, Options, RealDirectory, open};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::tempdir()?;
//! # let path = temporary.path().join("s1");
//! let owner = Identity { cluster: 0x5eed, group: 1, server: ServerId(1) };
//! let directory = Arc::new(RealDirectory::at(path)?);
//! let Opened { store, mut writer, .. } = open(directory, owner, Options::default())?;
//! let mut config = Config::new(owner.server, [owner.server]);
//! config.incarnation = store.starts()?;
//! let mut server = Raft::start(config, store)?;
//!
//! let mut outputs = Outputs::new();
//! let mut inputs = vec![Input::ElectionTimeout];
//! while !inputs.is_empty() {
//!     for input in std::mem::take(&mut inputs) {
//!         server.step(input, &mut outputs)?;
//!     }
//!     let outputs: Vec<Output> = outputs.drain().collect();
//!     for output in &outputs {
//!         writer.write(output)?; // It leaves alone what is no write.
//!     }
//!     writer.sync()?; // One sync for all of them. Now they are complete, in order.
//!     inputs.extend(outputs.iter().filter_map(completion));
//! }
//! assert_eq!(server.role(), RoleKind::Leader);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! * What a sync has returned for is there after a crash, of the process or of the machine. Of what
//!   came after it, the first part is there and the rest is not.
//! * Damage is loud. A store that is damaged is not opened, or stops when it meets the damage; the error
//!   says in which file, at which byte, and what an operator can do. README.md has a table of what is
//!   noticed and when.
//! * A sync that fails stops the store for good. From then on it refuses every write, sync and read.
//! * A full disk does not stop a store that is open: [`kontiki::storage::WriteError::Full`] says so, what was taken up
//!   waits, and the next sync tries again. To open a store may take room. A sync that the system itself answers with
//!   "no space left" has failed like any other.
//! * A directory belongs to one server of one group of one cluster, and is open once.
//! * Only what is durable is shown. Reading waits for no disk that hangs, if what is read is in memory.
//!
//! # Memory
//!
//! The newest entries up to [`Options::cache_bytes`], and the writes that wait for a sync. Besides, some
//! forty bytes for 64 KiB of log, for each change of term and for each configuration, and four for 64
//! KiB of a snapshot.
//!
//! # Files
//!
//! | file | what |
//! |--|--|
//! | `identity` | whose the directory is, as text |
//! | `lock` | locked while the store is open |
//! | `segment-….log` | the log: records of all that was written; see `segment.rs`, `frame.rs`, `record.rs` |
//! | `durable` | how far the log is durable; see `mark.rs` |
//! | `….snapshot` | a snapshot, the server's own or one that is being received; see `snapshot_file.rs` |
//! | `segment.new` | the next segment, being filled with zeros |
//!
//! The log is only appended to. A truncation is a record of the entries that come in place of others.
//! When entries are let go of, that is a record, and a segment is deleted when no entry in it counts
//! any more. So everything that a directory amounts to is what its records do, one after the other.

mod batch;
mod cache;
mod directory;
mod draft;
pub mod encoding;
mod engine;
mod error;
mod frame;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod inspection;
pub mod kit;
mod log;
mod log_state;
mod mark;
mod opening;
mod options;
mod places;
mod reader;
mod real;
mod record;
mod recovery;
mod segment;
mod shared;
mod snapshot_file;
mod writer;

pub use directory::{Directory, DirectoryFile};
pub use draft::FileDraft;
pub use error::Error;
pub use identity::{IDENTITY, Identity};
pub use inspection::{Contents, Inspection, inspect};
pub use opening::{Opened, open};
pub use options::Options;
pub use reader::FileStore;
pub use real::RealDirectory;
pub use recovery::{SegmentSummary, Torn};
pub use writer::FileWriter;
