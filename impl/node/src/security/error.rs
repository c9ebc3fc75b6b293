//! What is wrong with certificates, and what would be right.

use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Why a server's own certificates are not used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}: correct the path, or let this process read the file", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A text does not have what it should have.
    #[error("{place} holds no {wanted} in PEM ({why}): its lines begin with -----BEGIN")]
    NotPem {
        /// The file, or that it was given as bytes.
        place: String,
        /// What should be there.
        wanted: &'static str,
        /// What was found wrong.
        why: String,
    },
    /// A certificate or key is of a kind that is not known here.
    #[error("{place} cannot be used: {why}")]
    Unusable {
        /// The file, or that it was given as bytes.
        place: String,
        /// What was found wrong.
        why: String,
    },
    /// The key is that of another certificate.
    #[error(
        "the key in {key} is not that of the first certificate in {certificates}: give both of one \
         pair, with the server's own certificate first"
    )]
    WrongKey {
        /// Where the key is.
        key: String,
        /// Where the certificate is.
        certificates: String,
    },
    /// The other servers would refuse the server's certificate.
    #[error("the certificate in {place} would be refused by every other server: {problem}")]
    Unfit {
        /// Where it is.
        place: String,
        /// Why.
        problem: CertificateProblem,
    },
    /// The node has no certificates.
    #[error("the connections of this node are plaintext, so it has no certificates to reload")]
    Plaintext,
}

/// Why a server's certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateProblem {
    /// There is none.
    #[error("there is no certificate: give that server a certificate of the cluster's authority")]
    Missing,
    /// No authority that is trusted has signed it.
    #[error(
        "no authority that is trusted here has signed it: have it signed by the cluster's authority, or \
         add the other authority to those that are trusted"
    )]
    OtherAuthority,
    /// Its time is over.
    #[error("it ended {} ago: have a new one signed, and reload it", span(*ago))]
    Expired {
        /// For so long.
        ago: Duration,
    },
    /// Its time has not begun.
    #[error("it begins in {}: look at the clocks of this machine and of the authority", span(*until))]
    NotYetValid {
        /// For so long.
        until: Duration,
    },
    /// It is that of another server, or of a server of another cluster.
    #[error(
        "it is for {}, and not for {expected}: each server needs its own, with that DNS name",
        list(found)
    )]
    OtherServer {
        /// The name that it should have.
        expected: String,
        /// The names that it has.
        found: Vec<String>,
    },
    /// It must not be used for this.
    #[error(
        "it must not be used by both servers and clients: its extended key usage needs serverAuth and \
         clientAuth, or has to be left out"
    )]
    Purpose,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// A length of time as people say it, rounded down.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

fn list(names: &[String]) -> String {
    match names {
        [] => "no name".into(),
        names => names.join(" and "),
    }
}

/// What is behind an error of a certificate's verification.
#[cfg(feature = "tls")]
pub(crate) fn problem(error: &tokio_rustls::rustls::CertificateError) -> CertificateProblem {
    use tokio_rustls::rustls::CertificateError as Error;
    use tokio_rustls::rustls::pki_types::UnixTime;
    let between = |from: &UnixTime, to: &UnixTime| {
        Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()))
    };
    match error {
        // A signature is wrong, too, where an authority has the name of another one.
        Error::UnknownIssuer | Error::BadSignature => CertificateProblem::OtherAuthority,
        Error::ExpiredContext { time, not_after } => {
            CertificateProblem::Expired { ago: between(not_after, time) }
        }
        Error::NotValidYetContext { time, not_before } => {
            CertificateProblem::NotYetValid { until: between(time, not_before) }
        }
        Error::NotValidForNameContext { expected, presented } => CertificateProblem::OtherServer {
            expected: expected.to_str().into_owned(),
            found: presented.iter().map(|name| plain(name)).collect(),
        },
        Error::InvalidPurpose | Error::InvalidPurposeContext { .. } => CertificateProblem::Purpose,
        other => CertificateProblem::Other(other.to_string()),
    }
}

/// A name as it stands in a certificate: rustls tells its kind as well.
#[cfg(feature = "tls")]
fn plain(name: &str) -> String {
    let inner = name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
    inner.unwrap_or(name).into()
}

/// The DNS names of a certificate, in the order in which they stand there.
#[cfg(feature = "tls")]
pub(crate) fn names(
    certificate: &tokio_rustls::rustls::pki_types::CertificateDer<'_>,
) -> Vec<String> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(certificate) => certificate.valid_dns_names().map(str::to_lowercase).collect(),
        Err(_) => Vec::new(), // It has been verified before, so it can be read.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_a_unit_that_fits() {
        let said = [(1, "1 seconds"), (600, "10 minutes"), (9000, "2 hours"), (200_000, "2 days")];
        for (seconds, text) in said {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
