//! A connection, plain or within TLS.

use crate::error::TransportError;
use crate::security::Protection;
use kontiki_store::Identity;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What bytes go through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection whose other end has said nothing yet.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Stream>,
    /// The names in the certificate of the other end. `None` where there are no certificates.
    pub(super) names: Option<Vec<String>>,
}

/// Makes a connection that has been opened one that is protected.
#[cfg_attr(
    not(feature = "tls"),
    expect(unused_variables, reason = "without TLS nothing has a name")
)]
pub(super) async fn call(
    socket: TcpStream,
    wanted: Identity,
    protection: &Protection,
) -> Result<Connection, TransportError> {
    match protection {
        Protection::Plaintext { .. } => Ok(Connection { stream: Box::new(socket), names: None }),
        #[cfg(feature = "tls")]
        Protection::Tls(credentials) => super::tls::call(socket, wanted, credentials).await,
    }
}

/// Makes a connection that was taken one that is protected.
pub(super) async fn take(
    socket: TcpStream,
    protection: &Protection,
) -> Result<Connection, TransportError> {
    match protection {
        Protection::Plaintext { .. } => Ok(Connection { stream: Box::new(socket), names: None }),
        #[cfg(feature = "tls")]
        Protection::Tls(credentials) => super::tls::take(socket, credentials).await,
    }
}
