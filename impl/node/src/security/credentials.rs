//! Certificates and keys, looked at before they are used.

use super::{CertificateError, CertificateProblem, Pem, Tls, certificate_name, names, problem};
use kontiki_store::Identity;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

/// What both sides of a connection say they will speak inside TLS. Certificates that serve other purposes,
/// too, do not open a connection here by accident.
pub(crate) const PROTOCOL: &[u8] = b"kontiki-peer";

/// No certificate has an end beyond the year 9999, in seconds since 1970.
const END_OF_TIME: u64 = 253_402_300_800;

/// What TLS connections are made and taken with.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    expires: u64,
}

/// A text, with what it is called in errors.
struct Text {
    place: String,
    bytes: Vec<u8>,
}

impl Text {
    fn read(pem: &Pem, what: &str) -> Result<Text, CertificateError> {
        match pem {
            Pem::File(file) => match std::fs::read(file) {
                Ok(bytes) => Ok(Text { place: file.display().to_string(), bytes }),
                Err(source) => Err(CertificateError::Unreadable { file: file.clone(), source }),
            },
            Pem::Bytes(bytes) => {
                Ok(Text { place: format!("the bytes given as {what}"), bytes: bytes.clone() })
            }
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let all = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        let not_pem = |why: String| CertificateError::NotPem {
            place: self.place.clone(),
            wanted: "certificate",
            why,
        };
        match all {
            Ok(all) if all.is_empty() => Err(not_pem("there is none".into())),
            Ok(all) => Ok(all),
            Err(error) => Err(not_pem(error.to_string())),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| CertificateError::NotPem {
            place: self.place.clone(),
            wanted: "private key",
            why: error.to_string(),
        })
    }

    fn unusable(&self, why: impl ToString) -> CertificateError {
        CertificateError::Unusable { place: self.place.clone(), why: why.to_string() }
    }

    fn unfit(&self, problem: CertificateProblem) -> CertificateError {
        CertificateError::Unfit { place: self.place.clone(), problem }
    }
}

impl Credentials {
    /// Reads certificates and key, and judges them as every other server will.
    pub(crate) fn load(tls: &Tls, own: Identity) -> Result<Credentials, CertificateError> {
        let certificates = Text::read(&tls.certificates, "certificates")?;
        let key = Text::read(&tls.key, "key")?;
        let authority = Text::read(&tls.authority, "authority")?;
        let chain = certificates.certificates()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in authority.certificates()? {
            roots.add(root).map_err(|error| authority.unusable(error))?;
        }
        let judges = Judges::new(roots, &provider).map_err(|why| authority.unusable(why))?;
        let expected = certificate_name(own.cluster, own.server);
        let expires =
            judges.judge(&chain, &expected).map_err(|problem| certificates.unfit(problem))?;

        let wrong = |error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::WrongKey {
                key: key.place.clone(),
                certificates: certificates.place.clone(),
            },
            error => key.unusable(error),
        };
        let Judges { of_servers, of_clients } = judges;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| key.unusable(error))?
            .with_webpki_verifier(of_servers)
            .with_client_auth_cert(chain.clone(), key.key()?)
            .map_err(wrong)?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| key.unusable(error))?
            .with_client_cert_verifier(of_clients)
            .with_single_cert(chain, key.key()?)
            .map_err(wrong)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        // The name says which server of which cluster is called, and would be sent in the clear.
        client.enable_sni = false;
        // A session that is resumed shows no certificate again, and one that has ended since would do.
        client.resumption = Resumption::disabled();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Credentials { client: Arc::new(client), server: Arc::new(server), expires })
    }

    pub(crate) fn expires(&self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.expires))
    }
}

/// Those who judge the certificates of other servers.
struct Judges {
    of_servers: Arc<WebPkiServerVerifier>,
    of_clients: Arc<dyn ClientCertVerifier>,
}

impl Judges {
    fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Judges, String> {
        let roots = Arc::new(roots);
        let of_servers =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
        let of_clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        Ok(Judges {
            of_servers: of_servers.build().map_err(|error| error.to_string())?,
            of_clients: of_clients.build().map_err(|error| error.to_string())?,
        })
    }

    /// Judges certificates as at the other end of connections in both directions. Gives the second in which
    /// they end.
    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        expected: &str,
    ) -> Result<u64, CertificateProblem> {
        let [own, between @ ..] = chain else { return Err(CertificateProblem::Missing) };
        let judged = |error| match error {
            rustls::Error::InvalidCertificate(error) => problem(&error),
            error => CertificateProblem::Other(error.to_string()),
        };
        let now = UnixTime::now();
        self.of_clients.verify_client_cert(own, between, now).map_err(judged)?;
        let found = names(own);
        if !found.iter().any(|name| name == expected) {
            return Err(CertificateProblem::OtherServer { expected: expected.into(), found });
        }
        let name = ServerName::try_from(expected)
            .map_err(|error| CertificateProblem::Other(error.to_string()))?;
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let verify = |time| self.of_servers.verify_server_cert(own, between, &name, &[], time);
        verify(now).map_err(judged)?;
        // The judge knows when each certificate ends, but tells only of one that has ended.
        let mut end = END_OF_TIME;
        for _ in chain {
            match verify(at(end)) {
                Err(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::ExpiredContext { not_after, .. },
                )) => end = not_after.as_secs().min(end),
                _ => break,
            }
        }
        Ok(end)
    }
}
