//! The links between servers: each goes through this process, which may hold it up.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What a link does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes them on.
    Pass,
    /// Keeps them until it passes again.
    Hold,
    /// Passes them on after so many milliseconds.
    Delay(u64),
    /// Loses them, with the connection.
    Cut,
}

const PASS: u64 = 0;
const HOLD: u64 = 1;
const CUT: u64 = 2;
/// Beyond this it is a delay.
const DELAY: u64 = 3;

/// What the first record of a TLS connection begins with: the content type of a handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// From one server to another. Each server has a connection of its own to every other, so a link is one
/// way, but for what a handshake answers.
#[derive(Clone)]
pub struct Link {
    mode: Arc<AtomicU64>,
    affected: Arc<AtomicU64>,
    without_tls: Arc<AtomicU64>,
    /// Where the sender finds the receiver.
    pub port: u16,
}

impl Link {
    /// A link that leads to a port.
    ///
    /// # Errors
    /// If there is no port to be had.
    pub fn open(to: u16) -> io::Result<Link> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let link = Link {
            mode: Arc::default(),
            affected: Arc::default(),
            without_tls: Arc::default(),
            port: listener.local_addr()?.port(),
        };
        let accepting = link.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let link = accepting.clone();
                thread::spawn(move || {
                    // A receiver that is down is one that refuses.
                    drop(link.connect(stream, to));
                });
            }
        });
        Ok(link)
    }

    /// Does this from now on.
    pub fn set(&self, mode: Mode) {
        let number = match mode {
            Mode::Pass => PASS,
            Mode::Hold => HOLD,
            Mode::Cut => CUT,
            Mode::Delay(milliseconds) => DELAY + milliseconds,
        };
        self.mode.store(number, Ordering::SeqCst);
    }

    /// How often something was held up, delayed or lost so far.
    pub fn affected(&self) -> u64 {
        self.affected.load(Ordering::SeqCst)
    }

    /// How many connections did not begin with a handshake of TLS.
    pub fn without_tls(&self) -> u64 {
        self.without_tls.load(Ordering::SeqCst)
    }

    fn connect(&self, from: TcpStream, to: u16) -> io::Result<()> {
        let to = TcpStream::connect(("127.0.0.1", to))?;
        let mut first = [0];
        if from.peek(&mut first)? == 1 && first != [TLS_HANDSHAKE] {
            self.without_tls.fetch_add(1, Ordering::SeqCst);
        }
        let (answers, asker) = (to.try_clone()?, from.try_clone()?);
        let link = self.clone();
        thread::spawn(move || link.pass_on(answers, asker));
        self.pass_on(from, to);
        Ok(())
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream) {
        // A link that loses what is on it does so even where nothing comes.
        drop(from.set_read_timeout(Some(Duration::from_millis(100))));
        drop(to.set_nodelay(true));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if is_timeout(&error) => {
                    if self.mode.load(Ordering::SeqCst) == CUT {
                        self.affected.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    continue;
                }
                Err(_) => break,
            };
            if !self.passes() || to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        drop(from.shutdown(Shutdown::Both));
        drop(to.shutdown(Shutdown::Both));
    }

    /// Waits until bytes may go on. Whether they may at all.
    fn passes(&self) -> bool {
        let mut is_first = true;
        loop {
            let mode = self.mode.load(Ordering::SeqCst);
            if mode != PASS && is_first {
                self.affected.fetch_add(1, Ordering::SeqCst);
                is_first = false;
            }
            match mode {
                PASS => return true,
                CUT => return false,
                HOLD => thread::sleep(Duration::from_millis(5)),
                delay => {
                    thread::sleep(Duration::from_millis(delay - DELAY));
                    return true;
                }
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
