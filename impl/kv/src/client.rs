//! A small client, for the commands that ask a running server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use thiserror::Error;

/// No answer is longer.
const LONGEST: usize = 16 << 20;
/// How often a client goes where it is sent.
const REDIRECTIONS: usize = 3;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The server cannot be reached, so nothing was asked.
    #[error("{address}: {source}")]
    Io {
        /// The server.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server was asked, and has not answered.
    #[error("{address} has not answered: {why}")]
    NoAnswer {
        /// The server.
        address: String,
        /// What came instead.
        why: String,
    },
    /// The server was asked to do something, and has not answered. It may be done.
    #[error("UNKNOWN perhaps done, or perhaps later: {0}")]
    InDoubt(Box<ClientError>),
    /// The server has answered with an error.
    #[error("{0}")]
    Server(String),
}

impl ClientError {
    /// Why what was to be done has no answer.
    pub fn of_what_was_to_be_done(self) -> ClientError {
        match self {
            ClientError::NoAnswer { .. } => ClientError::InDoubt(Box::new(self)),
            error => error,
        }
    }
}

/// Asks a server, and nobody else: the answer as text.
///
/// # Errors
/// If there is no answer in this time, or it is an error.
pub fn ask_there(
    address: &str,
    request: &[&str],
    patience: Duration,
) -> Result<String, ClientError> {
    let failed = |source| ClientError::Io { address: address.to_owned(), source };
    let stream = connect(address, patience).map_err(failed)?;
    let answer = exchange(stream, request).map_err(|source| ClientError::NoAnswer {
        address: address.to_owned(),
        why: match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("nothing came for {} s", patience.as_secs())
            }
            io::ErrorKind::UnexpectedEof => "the connection has ended".to_owned(),
            _ => source.to_string(),
        },
    })?;
    answer.map_err(ClientError::Server)
}

/// Asks a server, and goes to the leader if it is sent there: the answer as text.
///
/// # Errors
/// If there is no answer in this time, or it is an error.
pub fn ask(address: &str, request: &[&str], patience: Duration) -> Result<String, ClientError> {
    let mut address = address.to_owned();
    for _ in 0..REDIRECTIONS {
        match ask_there(&address, request, patience) {
            Err(ClientError::Server(error)) => {
                let moved = error.strip_prefix("MOVED ").and_then(|moved| moved.split_once(' '));
                match moved {
                    Some((_, leader)) => leader.clone_into(&mut address),
                    None => return Err(ClientError::Server(error)),
                }
            }
            answer => return answer,
        }
    }
    Err(ClientError::Server("the servers send each other's clients around: try again".to_owned()))
}

fn connect(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let resolved = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let stream = TcpStream::connect_timeout(&resolved, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

fn exchange(mut stream: TcpStream, request: &[&str]) -> io::Result<Result<String, String>> {
    let mut bytes = format!("*{}\r\n", request.len());
    for word in request {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(bytes.as_bytes())?;
    let mut reader = BufReader::new(stream).take(LONGEST as u64);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "this is no server of this kind");
    let rest = line.strip_suffix("\r\n").and_then(|line| line.get(1..)).ok_or_else(strange)?;
    match line.as_bytes().first() {
        Some(b'+' | b':') => Ok(Ok(rest.to_owned())),
        Some(b'-') => Ok(Err(rest.to_owned())),
        Some(b'$') => {
            let length: u64 = rest.parse().map_err(|_| strange())?;
            let mut text = String::new();
            reader.take(length).read_to_string(&mut text)?;
            match text.len() as u64 == length {
                true => Ok(Ok(text)),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        _ => Err(strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What is said of a server that takes a request and answers so, or nothing.
    fn told(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 14];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n");
            stream.write_all(answer).unwrap();
        });
        let told = ask_there(&address, &["PING"], Duration::from_secs(60));
        server.join().unwrap();
        let told = told.map_err(ClientError::of_what_was_to_be_done);
        told.unwrap_or_else(|error| error.to_string().replace(&address, "there"))
    }

    #[test]
    fn a_server_that_is_gone_may_have_done_what_it_was_asked_for() {
        assert_eq!(told(b"+PONG\r\n"), "PONG");
        assert_eq!(told(b"$3\r\none\r\n"), "one");
        assert_eq!(told(b"-ERR no\r\n"), "ERR no");
        let unknown = "UNKNOWN perhaps done, or perhaps later: there has not answered: ";
        for broken in [&b""[..], b"$9\r\none"] {
            assert_eq!(told(broken), format!("{unknown}the connection has ended"));
        }
        assert_eq!(told(b"HTTP\r\n"), format!("{unknown}this is no server of this kind"));
    }
}
