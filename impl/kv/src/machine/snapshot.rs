//! Snapshots of the keys. The store has checksums of them, so there are none here.
//!
//! A name and a version, then log time, the number of keys, the keys, the number of servers, and the servers.
//! Numbers have eight bytes, little-endian. A key has three: the length of the key, that of the value, and the
//! deadline, 0 if there is none. Then come the bytes of both. A server has three as well: its own number, and
//! the lengths of its addresses for clients and for its page, 0 if it has none. Then come the addresses.

use super::keyspace::{Image, Keyspace, Stored};
use super::servers::{KnownServer, KnownServers};
use kontiki_node::kontiki::bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write};

/// The name and the version.
const HEAD: &[u8; 8] = b"kvkeys\0\x02";
/// How much is read and written at once.
const PORTION: usize = 1 << 16;

pub(super) fn write(image: &Image, servers: &KnownServers, to: &mut dyn Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(PORTION, to);
    to.write_all(HEAD)?;
    to.write_all(&image.time.to_le_bytes())?;
    to.write_all(&image.count.to_le_bytes())?;
    for (key, Stored { value, deadline }) in image.iter() {
        for number in [key.len() as u64, value.len() as u64, deadline.unwrap_or(0)] {
            to.write_all(&number.to_le_bytes())?;
        }
        to.write_all(key)?;
        to.write_all(value)?;
    }
    to.write_all(&(servers.len() as u64).to_le_bytes())?;
    for KnownServer { id, clients, http } in servers.values() {
        let http = http.as_deref().unwrap_or_default();
        for number in [*id, clients.len() as u64, http.len() as u64] {
            to.write_all(&number.to_le_bytes())?;
        }
        to.write_all(clients.as_bytes())?;
        to.write_all(http.as_bytes())?;
    }
    to.flush()
}

pub(super) fn read(from: &mut dyn Read) -> io::Result<(Keyspace, KnownServers)> {
    let mut from = BufReader::with_capacity(PORTION, from);
    let mut head = [0; HEAD.len()];
    from.read_exact(&mut head)?;
    if head != *HEAD {
        return Err(wrong("the snapshot is of another program or of a later version of this one"));
    }
    let mut keys = Keyspace::at(number(&mut from)?);
    let count = number(&mut from)?;
    for _ in 0..count {
        let (key, value) = (number(&mut from)?, number(&mut from)?);
        let deadline = Some(number(&mut from)?).filter(|deadline| *deadline > 0);
        let key = bytes(&mut from, key)?.into_boxed_slice();
        let value = Bytes::from(bytes(&mut from, value)?);
        keys.insert(key, Stored { value, deadline });
    }
    if keys.count() != count {
        return Err(wrong("the snapshot has a key twice"));
    }
    let servers = (0..number(&mut from)?).map(|_| server(&mut from));
    let servers = servers.collect::<io::Result<BTreeMap<_, _>>>()?;
    match from.read(&mut [0])? {
        0 => Ok((keys, servers.into())),
        _ => Err(wrong("the snapshot goes on behind its last server")),
    }
}

fn server(from: &mut impl Read) -> io::Result<(u64, KnownServer)> {
    let (id, clients, http) = (number(from)?, number(from)?, number(from)?);
    let mut text = |length| {
        String::from_utf8(bytes(from, length)?).map_err(|_| wrong("an address is no text"))
    };
    let (clients, http) = (text(clients)?, text(http)?);
    Ok((id, KnownServer { id, clients, http: Some(http).filter(|http| !http.is_empty()) }))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut number = [0; 8];
    from.read_exact(&mut number)?;
    Ok(u64::from_le_bytes(number))
}

/// As many bytes as are said. Memory is taken for those that are there.
fn bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match from.take(length).read_to_end(&mut bytes)? as u64 == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
