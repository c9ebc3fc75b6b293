//! Replies, in RESP 2 and RESP 3.

use crate::operation::Answer;
use bytes::Bytes;
use std::borrow::Cow;
use std::io::Write;

/// The version of the protocol that a client has asked for ([`Version::Two`] if it has not).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP 2.
    #[default]
    Two,
    /// RESP 3, which has maps and one sign for nothing.
    Three,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A short word that says how things are.
    Simple(&'static str),
    /// An error: a word in capitals that says of which kind, and a sentence.
    Error(Cow<'static, str>),
    /// A number.
    Integer(i64),
    /// Any bytes.
    Bulk(Bytes),
    /// Nothing.
    Null,
    /// Replies in order.
    Array(Vec<Reply>),
    /// Names and what belongs to them.
    Map(Vec<(&'static str, Reply)>),
}

impl Reply {
    /// A reply of a text.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(text.into().into())
    }
}

/// Encodes replies for one client.
#[derive(Debug, Default)]
pub struct ReplyWriter {
    /// What the client has asked for.
    pub version: Version,
    /// What is to be sent.
    pub bytes: Vec<u8>,
}

impl ReplyWriter {
    /// Puts a reply behind what there is.
    pub fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Simple(word) => self.line(b'+', word.as_bytes()),
            Reply::Error(text) => self.error(text),
            Reply::Integer(number) => self.integer(*number),
            Reply::Bulk(bytes) => self.bulk(bytes),
            Reply::Null => self.null(),
            Reply::Array(replies) => {
                self.array(replies.len());
                replies.iter().for_each(|reply| self.reply(reply));
            }
            Reply::Map(pairs) => {
                match self.version {
                    Version::Two => self.array(pairs.len() * 2),
                    Version::Three => self.number(b'%', pairs.len()),
                }
                for (name, reply) in pairs {
                    self.bulk(name.as_bytes());
                    self.reply(reply);
                }
            }
        }
    }

    /// Puts what the state machine has said behind what there is, but for the values of
    /// [`Answer::Values`]: their array is begun.
    pub fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Done => self.line(b'+', b"OK"),
            Answer::Nothing => self.null(),
            Answer::Integer(number) => self.integer(*number),
            Answer::Value(value) => self.bulk(value),
            Answer::Values(values) => self.array(values.len()),
            Answer::Failed(failure) => self.error(&format!("ERR {failure}")),
        }
    }

    /// Puts a value or a gap behind what there is.
    pub fn value(&mut self, value: Option<&Bytes>) {
        match value {
            Some(value) => self.bulk(value),
            None => self.null(),
        }
    }

    fn error(&mut self, text: &str) {
        // An end of a line would be the end of the error.
        let text: Vec<u8> =
            text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }).collect();
        self.line(b'-', &text);
    }

    fn integer(&mut self, number: i64) {
        // Writing into memory does not fail.
        let _ = write!(self.bytes, ":{number}\r\n");
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.number(b'$', bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(match self.version {
            Version::Two => b"$-1\r\n",
            Version::Three => b"_\r\n",
        });
    }

    fn array(&mut self, count: usize) {
        self.number(b'*', count);
    }

    fn number(&mut self, sign: u8, number: usize) {
        self.bytes.push(sign);
        // Writing into memory does not fail.
        let _ = write!(self.bytes, "{number}\r\n");
    }

    fn line(&mut self, sign: u8, text: &[u8]) {
        self.bytes.push(sign);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(version: Version, reply: &Reply) -> String {
        let mut writer = ReplyWriter { version, bytes: Vec::new() };
        writer.reply(reply);
        String::from_utf8(writer.bytes).unwrap()
    }

    #[test]
    fn the_versions_differ_in_maps_and_nothing() {
        let map = Reply::Map(vec![("a", Reply::Integer(-1)), ("b", Reply::Null)]);
        assert_eq!(encoded(Version::Two, &map), "*4\r\n$1\r\na\r\n:-1\r\n$1\r\nb\r\n$-1\r\n");
        assert_eq!(encoded(Version::Three, &map), "%2\r\n$1\r\na\r\n:-1\r\n$1\r\nb\r\n_\r\n");
    }

    #[test]
    fn an_error_is_one_line() {
        let error = Reply::Error("ERR a\r\nb".into());
        assert_eq!(encoded(Version::Two, &error), "-ERR a  b\r\n");
    }
}
