//! How connections are protected at present, which may change while the node runs.

use super::{CertificateError, Security};
use crate::network::locked;
use kontiki_store::Identity;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::SystemTime;
use tokio::sync::watch;

#[cfg(feature = "tls")]
use super::{Credentials, Tls};
#[cfg(feature = "tls")]
use std::sync::Arc;

/// What a connection is made or taken with.
#[derive(Clone, Debug)]
pub(crate) enum Protection {
    Plaintext {
        beyond_loopback: bool,
    },
    #[cfg(feature = "tls")]
    Tls(Arc<Credentials>),
}

impl Protection {
    /// Looks at all that is needed.
    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_variables, reason = "without TLS nothing has a name")
    )]
    pub(crate) fn load(security: &Security, own: Identity) -> Result<Protection, CertificateError> {
        Ok(match security {
            Security::Plaintext => Protection::Plaintext { beyond_loopback: false },
            Security::PlaintextBeyondLoopback => Protection::Plaintext { beyond_loopback: true },
            #[cfg(feature = "tls")]
            Security::Tls(tls) => Protection::Tls(Arc::new(Credentials::load(tls, own)?)),
        })
    }

    /// Whether a server may be reached at an address.
    pub(crate) fn allows(&self, address: SocketAddr) -> bool {
        match self {
            Protection::Plaintext { beyond_loopback: false } => {
                address.ip().to_canonical().is_loopback()
            }
            _ => true,
        }
    }
}

/// Keeps what connections are protected with, and replaces it.
#[derive(Debug)]
pub(crate) struct Guard {
    own: Identity,
    security: Mutex<Security>,
    current: watch::Sender<Protection>,
}

impl Guard {
    pub(crate) fn new(own: Identity, security: Security, protection: Protection) -> Guard {
        let (current, _) = watch::channel(protection);
        Guard { own, security: Mutex::new(security), current }
    }

    /// What holds at present, and tells of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Protection> {
        self.current.subscribe()
    }

    /// Reads the files again. If something is wrong with them, nothing changes.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let present = locked(&self.security).clone();
        self.set(present)
    }

    /// Uses other certificates from now on. If something is wrong with them, nothing changes.
    #[cfg(feature = "tls")]
    pub(crate) fn replace(&self, tls: Tls) -> Result<(), CertificateError> {
        self.set(Security::Tls(tls))
    }

    fn set(&self, next: Security) -> Result<(), CertificateError> {
        let mut security = locked(&self.security);
        if matches!(*security, Security::Plaintext | Security::PlaintextBeyondLoopback) {
            return Err(CertificateError::Plaintext);
        }
        let protection = Protection::load(&next, self.own)?;
        *security = next;
        self.current.send_replace(protection);
        Ok(())
    }

    /// When the server's own certificate ends, or one that leads from it to the authority.
    pub(crate) fn expires(&self) -> Option<SystemTime> {
        match &*self.current.borrow() {
            Protection::Plaintext { .. } => None,
            #[cfg(feature = "tls")]
            Protection::Tls(credentials) => credentials.expires(),
        }
    }
}
