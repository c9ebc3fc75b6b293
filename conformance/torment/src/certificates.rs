//! The certificates of a run: an authority, and what it signs for each server.

use anyhow::Context;
use kontiki_node::kontiki::ServerId;
use kontiki_node::{Pem, Tls, certificate_name};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use std::fs;
use std::path::{Path, PathBuf};

/// The cluster's number.
pub const CLUSTER: u128 = 7;

/// Makes an authority and a certificate for each of these servers, as files in this directory. The
/// authority's key is not kept.
pub fn make(directory: &Path, servers: impl Iterator<Item = u64>) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name = named("Authority of a run");
    let key = KeyPair::generate()?;
    fs::write(authority(directory), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    for id in servers {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([certificate_name(CLUSTER, ServerId(id))])?;
        params.distinguished_name = named(&format!("Server {id}"));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer)?.pem();
        let (certificate_file, key_file) = files(directory, id);
        fs::write(certificate_file, certificate).context("cannot write a certificate")?;
        fs::write(key_file, key.serialize_pem()).context("cannot write a key")?;
    }
    Ok(())
}

/// What a server finds there.
pub fn of(directory: &Path, server: ServerId) -> Tls {
    let (certificate, key) = files(directory, server.0);
    Tls {
        certificates: Pem::File(certificate),
        key: Pem::File(key),
        authority: Pem::File(authority(directory)),
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn authority(directory: &Path) -> PathBuf {
    directory.join("authority.pem")
}

/// A server's certificate, and its key.
fn files(directory: &Path, id: u64) -> (PathBuf, PathBuf) {
    (directory.join(format!("s{id}.pem")), directory.join(format!("s{id}.key.pem")))
}
