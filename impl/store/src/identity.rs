//! Whose a directory is.

use crate::directory::{Directory, read_whole};
use crate::error::{Error, io};
use kontiki::ServerId;
use std::fmt;

/// The file that names the owner of a directory. A directory in which it is holds a store that was made to
/// its end.
pub const IDENTITY: &str = "identity";
/// Its name while the store is being made: nothing has been acknowledged then.
pub(crate) const IDENTITY_NEW: &str = "identity.new";
/// The version of everything in a directory.
pub(crate) const FORMAT: u32 = 1;

/// The owner of a directory: one server of one group of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster. No two clusters have the same number: draw it at random.
    pub cluster: u128,
    /// The group, where a process serves several.
    pub group: u64,
    /// The server.
    pub server: ServerId,
}

/// As `S1 of group 1 of cluster 00112233445566778899aabbccddeeff`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of group {} of cluster {:032x}", self.server, self.group, self.cluster)
    }
}

impl Identity {
    /// The lines of the file, with a checksum in the last.
    fn to_text(self) -> String {
        let Identity { cluster, group, server } = self;
        let text = format!(
            "kontiki store, format {FORMAT}\ncluster {cluster:032x}\ngroup {group}\nserver {}\n",
            server.0
        );
        let sum = crc32c::crc32c(text.as_bytes());
        format!("{text}checksum {sum:08x}\n")
    }

    fn from_text(text: &str) -> Option<(u32, Identity)> {
        let (body, sum) = text.strip_suffix('\n')?.rsplit_once("checksum ")?;
        if sum.len() != 8 || u32::from_str_radix(sum, 16).ok()? != crc32c::crc32c(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        let format = lines.next()?.strip_prefix("kontiki store, format ")?.parse().ok()?;
        let cluster = u128::from_str_radix(lines.next()?.strip_prefix("cluster ")?, 16).ok()?;
        let group = lines.next()?.strip_prefix("group ")?.parse().ok()?;
        let server = ServerId(lines.next()?.strip_prefix("server ")?.parse().ok()?);
        Some((format, Identity { cluster, group, server }))
    }

    /// Reads the owner of a directory that is known to have one.
    pub(crate) fn read(directory: &dyn Directory) -> Result<Identity, Error> {
        let bytes =
            read_whole(directory, IDENTITY, 4096).map_err(io(directory, "read", IDENTITY))?;
        let text = String::from_utf8_lossy(&bytes);
        match Identity::from_text(&text) {
            Some((FORMAT, identity)) => Ok(identity),
            Some((found, _)) => {
                Err(Error::Version { file: directory.describe(IDENTITY), found, known: FORMAT })
            }
            None => Err(Error::damaged(directory, IDENTITY, 0, "it does not match its checksum")),
        }
    }

    /// Writes the file under the name that it has while the store is being made.
    pub(crate) fn write(self, directory: &dyn Directory) -> Result<(), Error> {
        let failed = || io(directory, "write", IDENTITY_NEW);
        let file = directory.create(IDENTITY_NEW).map_err(failed())?;
        file.write_at(0, self.to_text().as_bytes()).map_err(failed())?;
        file.sync().map_err(failed())?;
        directory.sync().map_err(failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_altered_byte_is_noticed() {
        let identity = Identity { cluster: 0xfeed, group: 3, server: ServerId(7) };
        let text = identity.to_text();
        assert_eq!(Identity::from_text(&text), Some((FORMAT, identity)));
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let altered = String::from_utf8_lossy(&bytes).into_owned();
                let read = Identity::from_text(&altered);
                // The checksum's own letters may be of either case.
                let same_sum = altered.eq_ignore_ascii_case(&text) && place > text.len() - 10;
                assert!(read.is_none() || same_sum, "{altered}");
            }
        }
    }
}
