//! Requests: arrays of byte strings, or words on a line (an *inline command*).
//!
//! A request is parsed as it arrives, and no byte is looked at twice. Nothing is copied and no memory is taken
//! for what is only announced: the parser notes where the arguments stand in the buffer. Requests are not
//! nested, so there is no depth.

use std::ops::Range;
use thiserror::Error;

/// How long a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The most bytes, all in all.
    pub bytes: usize,
    /// The most bytes of an argument.
    pub argument_bytes: usize,
    /// The most arguments, the name of the command among them.
    pub arguments: usize,
}

/// The longest line: an inline command, or the length of something.
const LONGEST_LINE: usize = 64 << 10;

/// Bytes that are no request. What follows them means nothing, so the connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// No number, a negative one, or more arguments than may be.
    #[error("invalid multibulk length")]
    ArgumentCount,
    /// No number, a negative one, or more bytes than may be.
    #[error("invalid bulk length")]
    ArgumentLength,
    /// An argument begins with another byte than `$`.
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    NotAnArgument(u8),
    /// An argument is longer than was said.
    #[error("expected the end of an argument")]
    ArgumentEnd,
    /// A line does not end.
    #[error("too big inline request")]
    LineTooLong,
    /// Quotes, of which this program knows none.
    #[error("quotes in an inline request: send it as an array")]
    Quotes,
    /// All arguments together are longer than may be.
    #[error("too big request")]
    RequestTooLong,
}

/// Finds the requests in what a client sends.
#[derive(Debug)]
pub struct RequestParser {
    limits: RequestLimits,
    state: State,
    /// Up to here the request is parsed.
    position: usize,
    /// Up to here no end of a line was found.
    searched: usize,
    arguments: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Begin,
    /// So many arguments are to come.
    Length {
        left: usize,
    },
    /// An argument of so many bytes is to come, and others after it.
    Argument {
        length: usize,
        left: usize,
    },
}

impl RequestParser {
    /// A parser at the beginning of a request.
    pub fn new(limits: RequestLimits) -> RequestParser {
        let arguments = Vec::new();
        RequestParser { limits, state: State::Begin, position: 0, searched: 0, arguments }
    }

    /// Goes on with a request that begins at the first byte of the buffer: how many bytes it has, once all of
    /// them are there. Then the next call begins with the next request. Until then the buffer has to begin with
    /// the same bytes at each call.
    ///
    /// # Errors
    /// If these bytes are no request, or a longer one than may be.
    pub fn parse(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        loop {
            match self.state {
                State::Begin => {
                    self.position = 0;
                    self.arguments.clear();
                    let Some(line) = self.line(buffer, LONGEST_LINE)? else { return Ok(None) };
                    let line_bytes = &buffer[line.clone()];
                    if line_bytes.first() != Some(&b'*') {
                        self.words(buffer, line)?;
                        return Ok(Some(self.end()));
                    }
                    let error = ProtocolError::ArgumentCount;
                    // Of less than no arguments there are none: some clients send this.
                    let count = number(&line_bytes[1..]).ok_or(error)?.max(0);
                    let left = usize::try_from(count).map_err(|_| error)?;
                    match left {
                        0 => return Ok(Some(self.end())),
                        left if left > self.limits.arguments => return Err(error),
                        left => self.state = State::Length { left },
                    }
                }
                State::Length { left } => {
                    if let Some(first) = buffer.get(self.position)
                        && *first != b'$'
                    {
                        return Err(ProtocolError::NotAnArgument(*first));
                    }
                    let Some(line) = self.line(buffer, 32)? else { return Ok(None) };
                    let error = ProtocolError::ArgumentLength;
                    let length = number(&buffer[line.start + 1..line.end]).ok_or(error)?;
                    let length = usize::try_from(length).map_err(|_| error)?;
                    if length > self.limits.argument_bytes {
                        return Err(error);
                    }
                    if self.position + length > self.limits.bytes {
                        return Err(ProtocolError::RequestTooLong);
                    }
                    self.state = State::Argument { length, left };
                }
                State::Argument { length, left } => {
                    let end = self.position + length;
                    let Some(behind) = buffer.get(end..end + 2) else { return Ok(None) };
                    if behind != b"\r\n" {
                        return Err(ProtocolError::ArgumentEnd);
                    }
                    self.arguments.push(self.position..end);
                    self.position = end + 2;
                    self.searched = self.position;
                    self.state = State::Length { left: left - 1 };
                    if left == 1 {
                        return Ok(Some(self.end()));
                    }
                }
            }
        }
    }

    /// The arguments of the request that was parsed last, the name of the command first. There are none on an
    /// empty line.
    pub fn arguments<'a>(&self, buffer: &'a [u8]) -> Vec<&'a [u8]> {
        let argument = |range: &Range<usize>| buffer.get(range.clone()).unwrap_or_default();
        self.arguments.iter().map(argument).collect()
    }

    /// How many bytes the request that has begun has at least, as far as is known. Before so many are there,
    /// there is no use in parsing it.
    pub fn expects(&self) -> usize {
        match self.state {
            State::Begin => self.searched + 1,
            State::Length { left } => self.position + left * b"$0\r\n\r\n".len(),
            State::Argument { length, left } => {
                self.position + length + 2 + (left - 1) * b"$0\r\n\r\n".len()
            }
        }
    }

    fn end(&mut self) -> usize {
        self.state = State::Begin;
        self.searched = 0;
        self.position
    }

    /// The next line, without its end.
    fn line(
        &mut self,
        buffer: &[u8],
        longest: usize,
    ) -> Result<Option<Range<usize>>, ProtocolError> {
        let start = self.position;
        let found = buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let end = found.map_or(buffer.len(), |found| self.searched + found);
        if end - start > longest {
            return Err(ProtocolError::LineTooLong);
        }
        self.searched = end;
        if found.is_none() {
            return Ok(None);
        }
        self.position = end + 1;
        self.searched = self.position;
        let end = if buffer[start..end].ends_with(b"\r") { end - 1 } else { end };
        Ok(Some(start..end))
    }

    fn words(&mut self, buffer: &[u8], line: Range<usize>) -> Result<(), ProtocolError> {
        let bytes = &buffer[line.clone()];
        if bytes.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
            return Err(ProtocolError::Quotes);
        }
        let mut start = line.start;
        for word in bytes.split(|byte| byte.is_ascii_whitespace()) {
            if !word.is_empty() {
                self.arguments.push(start..start + word.len());
            }
            start += word.len() + 1;
        }
        match self.arguments.len() > self.limits.arguments {
            true => Err(ProtocolError::ArgumentCount),
            false => Ok(()),
        }
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.first() == Some(&b'+') {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const LIMITS: RequestLimits = RequestLimits { bytes: 1000, argument_bytes: 700, arguments: 10 };

    type Parsed = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

    /// What a client sends in pieces of these lengths.
    fn parse(bytes: &[u8], pieces: &[usize]) -> Parsed {
        let mut parser = RequestParser::new(LIMITS);
        let (mut buffer, mut requests) = (Vec::new(), Vec::new());
        let mut lengths = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = lengths.next().unwrap_or(1).min(rest.len());
            buffer.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
            loop {
                match parser.parse(&buffer) {
                    Ok(Some(length)) => {
                        let arguments = parser.arguments(&buffer);
                        requests.push(arguments.into_iter().map(<[u8]>::to_vec).collect());
                        buffer.drain(..length);
                    }
                    Ok(None) => break,
                    Err(error) => return (requests, Some(error)),
                }
            }
        }
        (requests, None)
    }

    fn error(bytes: &[u8]) -> Option<ProtocolError> {
        parse(bytes, &[]).1
    }

    fn array(arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    proptest! {
        /// However what is sent is cut into pieces.
        #[test]
        fn requests_are_found_in_pieces(
            requests in vec(vec(vec(any::<u8>(), 0..20), 1..10), 1..5), pieces in vec(1..30_usize, 0..200),
        ) {
            let bytes: Vec<u8> = requests.iter().flat_map(|request| array(request)).collect();
            prop_assert_eq!(parse(&bytes, &pieces), (requests.clone(), None));
            prop_assert_eq!(parse(&bytes, &vec![1; bytes.len()]), (requests, None));
        }

        /// Nonsense is found to be the same nonsense, and without a panic.
        #[test]
        fn pieces_make_no_difference(
            bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(&b"*$0123-\r\n x"[..])], 0..80),
            pieces in vec(1..10_usize, 0..80),
        ) {
            prop_assert_eq!(parse(&bytes, &pieces), parse(&bytes, &[]));
        }
    }

    #[test]
    fn words_on_a_line_are_a_request() {
        let (requests, error) = parse(b"PING\r\nset  k v\n\r\n*0\r\n*-1\r\nGET k\n", &[3, 1, 1]);
        assert_eq!(error, None);
        let words = |line: &str| -> Vec<Vec<u8>> {
            line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
        };
        assert_eq!(requests, ["PING", "set k v", "", "", "", "GET k"].map(words));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(error(b"*x\r\n"), Some(ProtocolError::ArgumentCount));
        assert_eq!(error(b"*11\r\n"), Some(ProtocolError::ArgumentCount));
        assert_eq!(error(b"*99999999999999999999\r\n"), Some(ProtocolError::ArgumentCount));
        assert_eq!(error(b"*1\r\n$-1\r\n"), Some(ProtocolError::ArgumentLength));
        assert_eq!(error(b"*1\r\n$+1\r\n"), Some(ProtocolError::ArgumentLength));
        assert_eq!(error(b"*1\r\n$2000000000\r\n"), Some(ProtocolError::ArgumentLength));
        assert_eq!(error(b"*1\r\n*1\r\n"), Some(ProtocolError::NotAnArgument(b'*')));
        assert_eq!(error(b"*1\r\n$1\r\nxyz"), Some(ProtocolError::ArgumentEnd));
        assert_eq!(error(b"set k \"v w\"\r\n"), Some(ProtocolError::Quotes));
        assert_eq!(error(&[b'x'; LONGEST_LINE + 1]), Some(ProtocolError::LineTooLong));
        assert_eq!(
            error(&[b"*1\r\n$1".as_slice(), &[b'1'; 40]].concat()),
            Some(ProtocolError::LineTooLong)
        );
        let long = array(&[vec![b'x'; 600], vec![b'x'; 600]]);
        assert_eq!(error(&long), Some(ProtocolError::RequestTooLong));
    }
}
