//! Makes an authority for a cluster, and certificates for its servers, as files.
//!
//!     cargo run -p kontiki-node --example certificates -- DIRECTORY CLUSTER SERVER...
//!
//! `CLUSTER` is the number of the cluster in hexadecimal digits, and each `SERVER` an id. The authority's files,
//! `authority.pem` and `authority.key.pem`, are made if they are not there, and used if they are. A server 2
//! gets `s2.pem` and `s2.key.pem` for a year, in place of those that are there. Keep `authority.key.pem` away from the
//! servers: whoever has it can pretend to be any of them.

use kontiki_node::certificate_name;
use kontiki_node::kontiki::ServerId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, fs};

const DAY: Duration = Duration::from_secs(86_400);

/// The authority as it signs itself. It can be made again from its key alone.
fn authority(cluster: u128) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Kontiki cluster {cluster:032x}"));
    // Even whoever has the authority's key can sign for servers of this cluster only.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(format!(
            "{cluster:032x}.kontiki.internal"
        ))],
        excluded_subtrees: Vec::new(),
    });
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    Ok(params)
}

fn write_key(path: &Path, key: &KeyPair) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(key.serialize_pem().as_bytes())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, cluster, servers @ ..] = &arguments[..] else {
        return Err("say DIRECTORY CLUSTER SERVER...".into());
    };
    let (directory, cluster) = (Path::new(directory), u128::from_str_radix(cluster, 16)?);
    fs::create_dir_all(directory)?;
    let key_path = directory.join("authority.key.pem");
    let params = authority(cluster)?;
    let key = match fs::read_to_string(&key_path) {
        Ok(pem) => KeyPair::from_pem(&pem)?,
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Err(_) => {
            let key = KeyPair::generate()?;
            write_key(&key_path, &key)?;
            fs::write(directory.join("authority.pem"), params.self_signed(&key)?.pem())?;
            key
        }
    };
    let issuer = Issuer::new(params, key);
    for server in servers {
        let server = ServerId(server.parse()?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([certificate_name(cluster, server)])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Kontiki server {}", server.0));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now();
        // Clocks differ a little.
        (params.not_before, params.not_after) = ((now - DAY).into(), (now + 365 * DAY).into());
        let name = format!("s{}", server.0);
        let certificate = params.signed_by(&key, &issuer)?;
        write_key(&directory.join(format!("{name}.key.pem")), &key)?;
        fs::write(directory.join(format!("{name}.pem")), certificate.pem())?;
        println!("{name}.pem is for {}", certificate_name(cluster, server));
    }
    Ok(())
}
