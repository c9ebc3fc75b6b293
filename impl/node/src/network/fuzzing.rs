//! Handshakes and frames over connections whose other end sends any bytes and then is gone.

use super::connection::Connection;
use super::handshake::Hello;
use super::{Lane, Settings, handshake, incoming};
use crate::error::TransportError;
use crate::security::Protection;
use kontiki::ServerId;
use kontiki_store::Identity;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// The group of the server that the bytes come to.
pub const OWN_GROUP: u64 = 5;
const OWN: Identity = Identity { cluster: 7, group: OWN_GROUP, server: ServerId(1) };
const FRAME_BYTES: usize = 4096;

/// Bytes that come in pieces. What is sent goes nowhere.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.bytes.len().min(self.at + self.piece.min(buffer.remaining()));
        buffer.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn pieces(bytes: &[u8], piece: usize) -> Box<Pieces> {
    Box::new(Pieces { bytes: bytes.to_vec(), at: 0, piece: piece.max(1) })
}

/// Nothing here waits for anything.
fn at_once<T>(doing: impl Future<Output = T>) -> T {
    match pin!(doing).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("the bytes are there"),
    }
}

/// Whether somebody who connects with these bytes, and with the certificate of server 2 or with none, is
/// welcome.
pub fn hello(bytes: &[u8], has_certificate: bool) -> bool {
    let names = vec![crate::security::certificate_name(OWN.cluster, ServerId(2))];
    let names = has_certificate.then_some(names);
    let mut connection = Connection { stream: pieces(bytes, 7), names };
    let welcomed = at_once(handshake::read_hello(&mut connection, OWN));
    if let Ok(Hello { from, .. }) = &welcomed {
        assert!(*from != OWN.server, "that is this server");
        assert!(!has_certificate || *from == ServerId(2), "that is another server's certificate");
        assert!(bytes.starts_with(b"kontiki\n"), "that is something else");
    }
    welcomed.is_ok()
}

/// Whether a server that is called welcomes this one with these bytes.
pub fn answer(bytes: &[u8]) -> bool {
    let mut connection = Connection { stream: pieces(bytes, 7), names: None };
    at_once(handshake::read_answer(&mut connection, ServerId(2), OWN)).is_ok()
}

/// How many messages there are in these bytes, and why there are no more.
pub(crate) fn stream(bytes: &[u8], piece: usize) -> (usize, Result<(), TransportError>) {
    let (_, protection) = watch::channel(Protection::Plaintext { beyond_loopback: false });
    let settings = Settings {
        identity: OWN,
        lease_terms: 0,
        frame_bytes: FRAME_BYTES,
        peer_bytes: FRAME_BYTES,
        patience: Duration::MAX,
        protection,
    };
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let receiver = move |_, _| {
        counting.fetch_add(1, Ordering::Relaxed);
    };
    let learn = |_| async { Ok(()) };
    let stream = pieces(bytes, piece);
    let result =
        at_once(incoming::read(stream, ServerId(2), Lane::Usual, &settings, learn, receiver));
    (count.load(Ordering::Relaxed), result)
}
