//! Certificates are looked at when a node starts, and when they are replaced.

use crate::authority::{Authority, Params, ended, not_begun};
use crate::cluster::{CLUSTER, Cluster};
use crate::journal::Journal;
use kontiki_node::kontiki::ServerId;
use kontiki_node::{
    CertificateError, CertificateProblem, Node, Pem, Security, StartError, Tls, certificate_name,
};
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Why a server does not start with this.
async fn refused(cluster: &Cluster, tls: Tls) -> CertificateError {
    let mut config = cluster.config(ServerId(1), TcpListener::bind("127.0.0.1:0").unwrap());
    config.security = Security::Tls(tls);
    match Node::start(config, Journal::default()).await.err() {
        Some(StartError::Certificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn own_name() -> String {
    certificate_name(CLUSTER, ServerId(1))
}

/// What a server needs, in files.
fn written(directory: &Path, tls: &Tls) -> Tls {
    let file = |name: &str, pem: &Pem| {
        let Pem::Bytes(bytes) = pem else { panic!("it is in a file already") };
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap();
        Pem::File(path)
    };
    Tls {
        certificates: file("server.pem", &tls.certificates),
        key: file("server.key.pem", &tls.key),
        authority: file("authority.pem", &tls.authority),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_named() {
    let mut cluster = Cluster::start(1).await;
    cluster.shutdown(ServerId(1)).await;
    let authority = Authority::new();
    let good = written(cluster.directory.path(), &authority.tls(CLUSTER, ServerId(1)));
    let nowhere = Pem::File(cluster.directory.path().join("nowhere.pem"));
    let missing = refused(&cluster, Tls { key: nowhere, ..good.clone() }).await;
    assert!(matches!(missing, CertificateError::Unreadable { .. }), "{missing}");
    assert!(missing.to_string().contains("nowhere.pem"), "{missing}");

    let swapped =
        Tls { certificates: good.key.clone(), key: good.certificates.clone(), ..good.clone() };
    let swapped = refused(&cluster, swapped).await;
    let is_that = matches!(swapped, CertificateError::NotPem { wanted: "certificate", .. });
    assert!(is_that && swapped.to_string().contains("server.key.pem"), "{swapped}");

    let no_key = refused(&cluster, Tls { key: good.certificates.clone(), ..good.clone() }).await;
    let is_that = matches!(no_key, CertificateError::NotPem { wanted: "private key", .. });
    assert!(is_that && no_key.to_string().contains("server.pem"), "{no_key}");

    let other_key = authority.tls(CLUSTER, ServerId(1)).key;
    let wrong = refused(&cluster, Tls { key: other_key, ..good.clone() }).await;
    assert!(matches!(wrong, CertificateError::WrongKey { .. }), "{wrong}");
    assert!(wrong.to_string().contains("server.pem"), "{wrong}");

    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let nonsense = refused(&cluster, Tls { authority: Pem::Bytes(nonsense), ..good }).await;
    assert!(matches!(nonsense, CertificateError::Unusable { .. }), "{nonsense}");
    assert!(nonsense.to_string().contains("given as authority"), "{nonsense}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_others_would_refuse_is_refused_at_once() {
    let mut cluster = Cluster::start(1).await;
    cluster.shutdown(ServerId(1)).await;
    let authority = Authority::new();
    let mut problems = Vec::new();
    let other = certificate_name(CLUSTER, ServerId(2));
    let elsewhere = certificate_name(CLUSTER + 1, ServerId(1));
    let any = own_name().replace("s1.", "*.");
    for tls in [
        authority.sign(&[own_name()], ended),
        authority.sign(&[own_name()], not_begun),
        authority.sign(&[own_name()], |params: &mut Params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        authority.sign(&[own_name()], |params: &mut Params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        Tls {
            authority: Pem::Bytes(Authority::new().pem.into()),
            ..authority.tls(CLUSTER, ServerId(1))
        },
        authority.sign(std::slice::from_ref(&other), |_| {}),
        authority.sign(std::slice::from_ref(&elsewhere), |_| {}),
        // A certificate for every server would let each pretend to be any other.
        authority.sign(std::slice::from_ref(&any), |_| {}),
        authority.sign(&[], |_| {}),
    ] {
        match refused(&cluster, tls).await {
            CertificateError::Unfit { problem, .. } => problems.push(problem),
            other => panic!("{other}"),
        }
    }
    let for_other =
        |found: Vec<String>| CertificateProblem::OtherServer { expected: own_name(), found };
    assert!(matches!(problems[0], CertificateProblem::Expired { .. }), "{}", problems[0]);
    assert!(matches!(problems[1], CertificateProblem::NotYetValid { .. }), "{}", problems[1]);
    let expected = [
        CertificateProblem::Purpose,
        CertificateProblem::Purpose,
        CertificateProblem::OtherAuthority,
        for_other(vec![other]),
        for_other(vec![elsewhere]),
        for_other(vec![any]),
        for_other(vec![]),
    ];
    assert_eq!(problems[2..], expected);
}

/// A node tells when its certificate ends, and takes another one without a restart. One that is wrong
/// changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_while_a_node_runs() {
    let mut cluster = Cluster::start(1).await;
    cluster.shutdown(ServerId(1)).await;
    let authority = Authority::new();
    let until = |year| move |params: &mut Params| params.not_after = date_time_ymd(year, 1, 1);
    let first = authority.sign(&[own_name()], until(2900));
    let files = written(cluster.directory.path(), &first);
    let mut config = cluster.config(ServerId(1), TcpListener::bind("127.0.0.1:0").unwrap());
    config.security = Security::Tls(files);
    let node = Node::start(config, Journal::default()).await.unwrap();
    let handle = node.handle();
    let ends = async || handle.status().await.unwrap().certificates_end.unwrap();
    let year = |year: u64| {
        let days = Duration::from_secs((year - 1970) * 31_556_952);
        SystemTime::UNIX_EPOCH + days
    };
    let day = Duration::from_secs(86_400);
    let is_near = |time: SystemTime, expected| time > expected - day && time < expected + day;
    assert!(is_near(ends().await, year(2900)));

    written(cluster.directory.path(), &authority.sign(&[own_name()], ended));
    let error = handle.reload_certificates().err().unwrap();
    assert!(matches!(error, CertificateError::Unfit { .. }), "{error}");
    assert!(is_near(ends().await, year(2900)));

    written(cluster.directory.path(), &authority.sign(&[own_name()], until(2950)));
    handle.reload_certificates().unwrap();
    assert!(is_near(ends().await, year(2950)));

    handle.replace_certificates(authority.sign(&[own_name()], until(2960))).unwrap();
    assert!(is_near(ends().await, year(2960)));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_certificates_where_there_is_no_tls() {
    let cluster = Cluster::start(1).await;
    let handle = cluster.handle(ServerId(1));
    let refused = handle.reload_certificates();
    assert!(matches!(refused, Err(CertificateError::Plaintext)));
    let tls = Authority::new().tls(CLUSTER, ServerId(1));
    assert!(matches!(handle.replace_certificates(tls), Err(CertificateError::Plaintext)));
    assert_eq!(handle.status().await.unwrap().certificates_end, None);
}
