//! Kontiki's store on files.

mod batch;
mod cache;
mod directory;
mod draft;
mod engine;
mod error;
mod frame;
mod frames;
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
pub use identity::Identity;
pub use inspection::{Contents, Inspection, inspect};
pub use opening::{Opened, open};
pub use options::Options;
pub use reader::FileStore;
pub use real::RealDirectory;
pub use recovery::{SegmentSummary, Torn};
pub use writer::FileWriter;
