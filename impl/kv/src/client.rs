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
    /// The server cannot be reached, or does not answer.
    #[error("{address}: {source}")]
    Io {
        /// The server.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server has answered with an error.
    #[error("{0}")]
    Server(String),
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
    ask_once(address, request, patience).map_err(failed)?.map_err(ClientError::Server)
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

fn ask_once(
    address: &str,
    request: &[&str],
    patience: Duration,
) -> io::Result<Result<String, String>> {
    let resolved = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&resolved, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut bytes = format!("*{}\r\n", request.len());
    for word in request {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(bytes.as_bytes())?;
    let mut reader = BufReader::new(stream).take(LONGEST as u64);
    let mut line = String::new();
    reader.read_line(&mut line)?;
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
