//! Commands in traces: as text where they are text, as a list of bytes where they are not.
//!
//! Reading takes either, whatever the bytes are.

use bytes::Bytes;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A command as it is written.
struct Written(Bytes);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize(from).map(Written)
    }
}

pub(crate) fn serialize<S: Serializer>(command: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(command) {
        Ok(text) => to.serialize_str(text),
        Err(_) => to.collect_seq(command),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    from.deserialize_any(Command)
}

struct Command;

impl<'de> Visitor<'de> for Command {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a command, as text or as a list of bytes")
    }

    fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes::from(bytes))
    }
}

/// The same for several commands in a row.
pub(crate) mod list {
    use super::Written;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(commands: &[Bytes], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(commands.iter().map(|command| Written(command.clone())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Bytes>, D::Error> {
        let commands = Vec::<Written>::deserialize(from)?;
        Ok(commands.into_iter().map(|Written(command)| command).collect())
    }
}
