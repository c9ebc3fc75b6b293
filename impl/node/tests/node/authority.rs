//! An authority that signs certificates for tests.

use kontiki_node::kontiki::ServerId;
use kontiki_node::{Pem, Tls, certificate_name};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

/// What a certificate is made of, to be changed by tests.
pub type Params = CertificateParams;

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // All of them have the same name, as authorities may that come one after another.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// What a server needs, with a certificate for such names.
    pub fn sign(&self, names: &[String], change: impl FnOnce(&mut Params)) -> Tls {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Tls {
            certificates: Pem::Bytes(certificate.pem().into()),
            key: Pem::Bytes(key.serialize_pem().into()),
            authority: Pem::Bytes(self.pem.clone().into()),
        }
    }

    /// What a server needs, with nothing wrong with it.
    pub fn tls(&self, cluster: u128, server: ServerId) -> Tls {
        self.sign(&[certificate_name(cluster, server)], |_| {})
    }
}

/// Whose time is over.
pub fn ended(params: &mut Params) {
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
}

/// Whose time has not begun.
pub fn not_begun(params: &mut Params) {
    (params.not_before, params.not_after) = (date_time_ymd(3000, 1, 1), date_time_ymd(3001, 1, 1));
}
