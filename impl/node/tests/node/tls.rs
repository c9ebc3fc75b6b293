//! Servers within TLS, and whoever connects with the wrong certificate or with none.

use crate::authority::{Authority, ended, not_begun};
use crate::cluster::{CLUSTER, Cluster, PATIENCE, eventually};
use crate::journal::Journal;
use crate::strangers::hello;
use kontiki_node::kontiki::ServerId;
use kontiki_node::{
    CertificateProblem, Node, NodeConfig, Pem, Security, Start, Tls, TransportError,
    certificate_name,
};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static OTHER_AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

fn within_tls(config: &mut NodeConfig) {
    config.security = Security::Tls(AUTHORITY.tls(CLUSTER, config.driver.raft.id));
}

fn bytes(pem: &Pem) -> &[u8] {
    match pem {
        Pem::Bytes(bytes) => bytes,
        Pem::File(path) => panic!("{} is a file", path.display()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_works_within_tls() {
    let mut cluster = Cluster::adjusted(3, within_tls).await;
    for _ in 0..20 {
        cluster.write().await;
    }
    cluster.check().await;
    let leader = cluster.leader().await;
    cluster.shutdown(leader).await;
    cluster.write().await;
    cluster.restart(leader).await;
    cluster.write().await;
    cluster.check().await;
}

/// The authority and all certificates are replaced, one server after another, while the cluster works. In the
/// end the old authority's certificates are worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_replaced_without_a_stop() {
    let mut cluster = Cluster::adjusted(3, within_tls).await;
    cluster.write().await;
    let both = [AUTHORITY.pem.as_str(), &OTHER_AUTHORITY.pem].concat();
    let new = |id| OTHER_AUTHORITY.tls(CLUSTER, id);
    let steps: [fn(Tls, Tls, Pem) -> Tls; 3] = [
        |old, _, both| Tls { authority: both, ..old },
        |_, new, both| Tls { authority: both, ..new },
        |_, new, _| new,
    ];
    for step in steps {
        for id in (1..=3).map(ServerId) {
            let tls = step(AUTHORITY.tls(CLUSTER, id), new(id), Pem::Bytes(both.clone().into()));
            cluster.handle(id).replace_certificates(tls).unwrap();
            cluster.write().await;
        }
    }
    cluster.check().await;
    let refusal = refused(&cluster, Some(&AUTHORITY.tls(CLUSTER, ServerId(2))), 2).await;
    assert_eq!(problem(&refusal), Some(&CertificateProblem::OtherAuthority), "{refusal}");
}

/// A connection that was made with a certificate that is worth nothing any more does not outlive that.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stand_are_judged_by_the_new_authority() {
    let cluster = Cluster::adjusted(1, within_tls).await;
    let mut stream = connected(&cluster, Some(&AUTHORITY.tls(CLUSTER, ServerId(9)))).await;
    stream.write_all(&hello(1, 9)).await.unwrap();
    let mut answer = [0; 66];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[9], 0, "it is not welcome");
    let tls = OTHER_AUTHORITY.tls(CLUSTER, ServerId(1));
    cluster.handle(ServerId(1)).replace_certificates(tls).unwrap();
    // It is closed: with TLS's own word, or without.
    let closed = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    let refusal = refused(&cluster, Some(&AUTHORITY.tls(CLUSTER, ServerId(9))), 9).await;
    assert_eq!(problem(&refusal), Some(&CertificateProblem::OtherAuthority), "{refusal}");
}

fn problem(error: &TransportError) -> Option<&CertificateProblem> {
    match error {
        TransportError::Certificate(problem) => Some(problem),
        _ => None,
    }
}

/// Connects to the first server with a certificate or without.
async fn connected(cluster: &Cluster, tls: Option<&Tls>) -> TlsStream<TcpStream> {
    connected_for(cluster, tls, &["kontiki-peer"]).await
}

/// As [`connected`], for one of these protocols.
async fn connected_for(
    cluster: &Cluster,
    tls: Option<&Tls>,
    protocols: &[&str],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for authority in [&AUTHORITY, &OTHER_AUTHORITY] {
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match tls {
        Some(tls) => {
            let chain = CertificateDer::pem_slice_iter(bytes(&tls.certificates));
            let key = PrivateKeyDer::from_pem_slice(bytes(&tls.key)).unwrap();
            config.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(cluster.addresses[&ServerId(1)]).await.unwrap();
    let name = ServerName::try_from(certificate_name(CLUSTER, ServerId(1))).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
}

/// Connects to the first server as some server, waits until the connection is closed, and gives the first
/// server's reason.
async fn refused(cluster: &Cluster, tls: Option<&Tls>, from: u64) -> Arc<TransportError> {
    let before = cluster.status(ServerId(1)).await.refused_connections;
    let mut stream = connected(cluster, tls).await;
    // The server may have refused the certificate already.
    drop(stream.write_all(&hello(1, from)).await);
    drop(stream.read_to_end(&mut Vec::new()).await);
    eventually("a refusal", async || {
        let status = cluster.status(ServerId(1)).await;
        status.last_refusal.filter(|_| status.refused_connections > before)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_shows_the_certificate_of_the_server_that_it_says_it_is() {
    let mut cluster = Cluster::adjusted(1, within_tls).await;
    cluster.write().await;
    let name = |server| certificate_name(CLUSTER, ServerId(server));
    let second = AUTHORITY.tls(CLUSTER, ServerId(2));

    let refusal = refused(&cluster, Some(&second), 3).await;
    let expected = CertificateProblem::OtherServer { expected: name(3), found: vec![name(2)] };
    assert_eq!(problem(&refusal), Some(&expected), "{refusal}");

    let elsewhere = AUTHORITY.tls(CLUSTER + 1, ServerId(2));
    let refusal = refused(&cluster, Some(&elsewhere), 2).await;
    let found = vec![certificate_name(CLUSTER + 1, ServerId(2))];
    let expected = CertificateProblem::OtherServer { expected: name(2), found };
    assert_eq!(problem(&refusal), Some(&expected), "{refusal}");

    let any = name(2).replace("s2.", "*.");
    let for_any = AUTHORITY.sign(std::slice::from_ref(&any), |_| {});
    let refusal = refused(&cluster, Some(&for_any), 2).await;
    let expected = CertificateProblem::OtherServer { expected: name(2), found: vec![any] };
    assert_eq!(problem(&refusal), Some(&expected), "{refusal}");

    let refusal = refused(&cluster, Some(&OTHER_AUTHORITY.tls(CLUSTER, ServerId(2))), 2).await;
    assert_eq!(problem(&refusal), Some(&CertificateProblem::OtherAuthority), "{refusal}");

    let refusal = refused(&cluster, Some(&AUTHORITY.sign(&[name(2)], ended)), 2).await;
    assert!(matches!(problem(&refusal), Some(CertificateProblem::Expired { .. })), "{refusal}");

    let refusal = refused(&cluster, Some(&AUTHORITY.sign(&[name(2)], not_begun)), 2).await;
    assert!(matches!(problem(&refusal), Some(CertificateProblem::NotYetValid { .. })), "{refusal}");

    let refusal = refused(&cluster, None, 2).await;
    assert_eq!(problem(&refusal), Some(&CertificateProblem::Missing), "{refusal}");

    // Its certificate is good, but it does not say that it speaks this protocol.
    let before = cluster.status(ServerId(1)).await.refused_connections;
    drop(connected_for(&cluster, Some(&second), &[]).await);
    eventually("a refusal", async || {
        let status = cluster.status(ServerId(1)).await;
        let refusal = status.last_refusal.filter(|_| status.refused_connections > before)?;
        matches!(*refusal, TransportError::NotKontiki).then_some(())
    })
    .await;

    let refusal = refused(&cluster, Some(&AUTHORITY.tls(CLUSTER, ServerId(1))), 1).await;
    assert!(matches!(*refusal, TransportError::SameId(ServerId(1))), "{refusal}");
    cluster.write().await;
    cluster.check().await;
}

/// Starts a node that looks for the first server of a cluster, and gives why neither gets on with the other: at
/// the node that connects, and at the first server.
async fn both_sides(
    cluster: &Cluster,
    number: u128,
    security: Security,
) -> (Arc<TransportError>, Arc<TransportError>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = cluster.config(ServerId(2), listener);
    config.cluster = number;
    config.security = security;
    config.start = Start::Join;
    config.directory = cluster.directory.path().join("stranger");
    config.addresses.insert(ServerId(1), cluster.addresses[&ServerId(1)].to_string());
    let stranger = Node::start(config, Journal::default()).await.unwrap();
    let handle = stranger.handle();
    let here = eventually("a refusal at the stranger", async || {
        let status = handle.status().await.unwrap();
        status.peers.into_iter().find_map(|peer| peer.last_error)
    });
    let here = here.await;
    let there = eventually("a refusal at the cluster", async || {
        cluster.status(ServerId(1)).await.last_refusal
    });
    let there = there.await;
    stranger.shutdown().await;
    (here, there)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_say_why_certificates_do_not_fit() {
    // The stranger trusts both authorities, and the cluster trusts one.
    let cluster = Cluster::adjusted(1, within_tls).await;
    let both = [AUTHORITY.pem.as_str(), &OTHER_AUTHORITY.pem].concat();
    let tls = OTHER_AUTHORITY.tls(CLUSTER, ServerId(2));
    let tls = Tls { authority: Pem::Bytes(both.into()), ..tls };
    let (here, there) = both_sides(&cluster, CLUSTER, Security::Tls(tls)).await;
    assert!(matches!(*here, TransportError::CertificateRefused { .. }), "{here}");
    assert_eq!(problem(&there), Some(&CertificateProblem::OtherAuthority), "{there}");

    // The stranger trusts the other authority only.
    let cluster = Cluster::adjusted(1, within_tls).await;
    let tls = OTHER_AUTHORITY.tls(CLUSTER, ServerId(2));
    let (here, there) = both_sides(&cluster, CLUSTER, Security::Tls(tls)).await;
    assert_eq!(problem(&here), Some(&CertificateProblem::OtherAuthority), "{here}");
    assert!(matches!(*there, TransportError::CertificateRefused { .. }), "{there}");

    // Two clusters have the same authority.
    let cluster = Cluster::adjusted(1, within_tls).await;
    let tls = AUTHORITY.tls(CLUSTER + 1, ServerId(2));
    let (here, there) = both_sides(&cluster, CLUSTER + 1, Security::Tls(tls)).await;
    let (expected, found) =
        (certificate_name(CLUSTER + 1, ServerId(1)), certificate_name(CLUSTER, ServerId(1)));
    let expected = CertificateProblem::OtherServer { expected, found: vec![found] };
    assert_eq!(problem(&here), Some(&expected), "{here}");
    assert!(matches!(*there, TransportError::CertificateRefused { .. }), "{there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_say_so_if_only_one_speaks_tls() {
    let cluster = Cluster::adjusted(1, within_tls).await;
    let (here, there) = both_sides(&cluster, CLUSTER, Security::Plaintext).await;
    assert!(matches!(*here, TransportError::SpeaksTls), "{here}");
    assert!(matches!(*there, TransportError::NotTls), "{there}");

    let cluster = Cluster::start(1).await;
    let tls = AUTHORITY.tls(CLUSTER, ServerId(2));
    let (here, there) = both_sides(&cluster, CLUSTER, Security::Tls(tls)).await;
    assert!(matches!(*here, TransportError::NotTls), "{here}");
    assert!(matches!(*there, TransportError::SpeaksTls), "{there}");
}

/// Where there is TLS, every address will do.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_beyond_the_machine_need_no_leave_within_tls() {
    let mut cluster = Cluster::adjusted(1, within_tls).await;
    cluster.shutdown(ServerId(1)).await;
    let config = cluster.config(ServerId(1), TcpListener::bind("0.0.0.0:0").unwrap());
    Node::start(config, Journal::default()).await.unwrap().shutdown().await;
}
