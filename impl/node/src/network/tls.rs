//! TLS 1.3 between servers. Both sides show certificates of the cluster's authority.

use super::connection::Connection;
use super::failed;
use crate::error::TransportError;
use crate::security::{
    CertificateProblem, Credentials, PROTOCOL, certificate_name, names, problem,
};
use kontiki_store::Identity;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, AlertDescription, CommonState};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const ACTION: &str = "agree on TLS";

/// Calls a server, which has to show its certificate. Whether it has taken ours is not known yet: its first
/// bytes say that.
pub(super) async fn call(
    socket: TcpStream,
    wanted: Identity,
    credentials: &Credentials,
) -> Result<Connection, TransportError> {
    let expected = certificate_name(wanted.cluster, wanted.server);
    let name = ServerName::try_from(expected.clone())
        .map_err(|error| TransportError::Tls { why: error.to_string() })?;
    let connector = TlsConnector::from(Arc::clone(&credentials.client));
    let stream = connector.connect(name, socket).await.map_err(failed(ACTION))?;
    let names = shown(stream.get_ref().1)?;
    if !names.contains(&expected) {
        let problem = CertificateProblem::OtherServer { expected, found: names };
        return Err(TransportError::Certificate(problem));
    }
    Ok(Connection { stream: Box::new(stream), names: Some(names) })
}

/// Takes a connection of a server, which has to show its certificate. Which server it is, it says later.
pub(super) async fn take(
    socket: TcpStream,
    credentials: &Credentials,
) -> Result<Connection, TransportError> {
    let acceptor = TlsAcceptor::from(Arc::clone(&credentials.server));
    let stream = acceptor.accept(socket).await.map_err(failed(ACTION))?;
    let names = shown(stream.get_ref().1)?;
    Ok(Connection { stream: Box::new(stream), names: Some(names) })
}

/// The names in the certificate that the other side has shown.
fn shown(state: &CommonState) -> Result<Vec<String>, TransportError> {
    if state.alpn_protocol() != Some(PROTOCOL) {
        return Err(TransportError::NotKontiki);
    }
    let own = state.peer_certificates().and_then(<[_]>::first);
    own.map(names).ok_or(TransportError::Certificate(CertificateProblem::Missing))
}

/// What is behind an error of a stream that is within TLS.
pub(super) fn reason(source: &io::Error) -> Option<TransportError> {
    use rustls::Error;
    let error = source.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(error) => TransportError::Certificate(problem(error)),
        Error::NoCertificatesPresented => TransportError::Certificate(CertificateProblem::Missing),
        // Bytes that are no TLS at all.
        Error::InvalidMessage(_) => TransportError::NotTls,
        Error::AlertReceived(alert) if is_about_certificates(*alert) => {
            TransportError::CertificateRefused { why: format!("{alert:?}") }
        }
        error => TransportError::Tls { why: error.to_string() },
    })
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
    )
}
