//! Whether connections between servers are protected, and how.

#[cfg(feature = "tls")]
mod credentials;
mod error;
mod protection;

#[cfg(feature = "tls")]
pub(crate) use credentials::{Credentials, PROTOCOL};
pub use error::{CertificateError, CertificateProblem};
#[cfg(feature = "tls")]
pub(crate) use error::{names, problem};
pub(crate) use protection::{Guard, Protection};

use kontiki::ServerId;
#[cfg(feature = "tls")]
use std::{fmt, path::PathBuf};

/// How connections between servers are protected. There is no default: whoever configures a node names one.
#[derive(Clone, Debug)]
pub enum Security {
    /// What servers say to each other is neither encrypted nor signed. Whoever can reach the port can pretend
    /// to be a server, and can break every promise. So a node listens and connects on loopback addresses
    /// only.
    Plaintext,
    /// As [`Security::Plaintext`], with any address. For networks that nobody else can reach, such as one that
    /// is encrypted underneath.
    PlaintextBeyondLoopback,
    /// TLS 1.3, where both sides show certificates.
    #[cfg(feature = "tls")]
    Tls(Tls),
}

/// What a server needs for TLS. `tls.md` says how certificates are made and replaced.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server's own certificate, and behind it those that lead to the authority, if there are any between
    /// them. The own certificate has the name [`certificate_name`], and may be used by servers and by clients.
    pub certificates: Pem,
    /// The private key of the server's own certificate, as PKCS #8, SEC1 or PKCS #1.
    pub key: Pem,
    /// Whose certificates are trusted: the cluster's authority. There may be several, as long as one takes the
    /// place of another. Whoever has the key of one of them can pretend to be any server.
    pub authority: Pem,
}

/// Text in PEM: where it is, or itself.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub enum Pem {
    /// A file. It is read when the node starts, and by [`crate::Handle::reload_certificates`].
    File(PathBuf),
    /// The text.
    Bytes(Vec<u8>),
}

#[cfg(feature = "tls")]
impl fmt::Debug for Pem {
    /// A key is shown to nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => f.debug_tuple("File").field(path).finish(),
            Pem::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// The name that a server's certificate has as a subject alternative name of the kind `DNS`:
/// `s2.CLUSTER.kontiki.internal` for the server 2, where `CLUSTER` is the cluster's number in 32 hexadecimal
/// digits. Nobody looks the name up. No public authority may sign for `internal`.
pub fn certificate_name(cluster: u128, server: ServerId) -> String {
    format!("s{}.{cluster:032x}.kontiki.internal", server.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_server_and_cluster() {
        let name = certificate_name(0x5eed, ServerId(2));
        assert_eq!(name, "s2.00000000000000000000000000005eed.kontiki.internal");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_key_is_not_printed() {
        let key = Pem::Bytes(b"-----BEGIN PRIVATE KEY-----".to_vec());
        assert_eq!(format!("{key:?}"), "Bytes(27 bytes)");
    }
}
