//! Keys, certificates and pair records (protocol.md 4.3): the phone's own RSA key, what it remembers of a host that it
//! trusts, and the whole record of a host that was paired before the simulator started.
//!
//! The keys are made at run time, once per process; no key is kept in the repository.

use std::sync::{Arc, OnceLock};

use backupwatch_wire::lockdown::{PairRecord, Secret};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::EncodePrivateKey;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::tls;

/// Pair records carry RSA-2048 keys, from every host of the field.
const KEY_BITS: usize = 2048;

/// What the phone remembers of one host.
#[derive(Clone)]
pub struct Pairing {
    pub host_id: String,
    pub system_buid: String,
    pub(crate) escrow_bag: Secret,
    pub(crate) tls: Arc<rustls::ServerConfig>,
}

// Key material has no business in a debug line.
impl std::fmt::Debug for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pairing")
            .field("host_id", &self.host_id)
            .finish_non_exhaustive()
    }
}

/// Why a pair record is no pair record, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    #[error("the pair record has no {key}")]
    Missing { key: &'static str },
    #[error("{key} is no PEM certificate")]
    NotACertificate { key: &'static str },
    #[error("set up TLS for the host")]
    Tls(#[source] rustls::Error),
    #[error("make an RSA key")]
    Key(#[source] rsa::Error),
    #[error("encode an RSA key")]
    Encoding(#[source] rsa::pkcs8::Error),
    #[error("make a certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("get random bytes")]
    Random,
}

impl Pairing {
    /// Takes over the record that a host sends with Pair (it has no private keys in it).
    pub fn from_record(record: &PairRecord) -> Result<Self, PairingError> {
        let certificate = |pem: &Option<Secret>, key: &'static str| {
            let pem = pem.as_ref().ok_or(PairingError::Missing { key })?;
            CertificateDer::from_pem_slice(&pem.0)
                .map_err(|_| PairingError::NotACertificate { key })
        };
        let device = certificate(&record.device_certificate, "DeviceCertificate")?;
        let host = certificate(&record.host_certificate, "HostCertificate")?;
        let root = certificate(&record.root_certificate, "RootCertificate")?;
        let system_buid = record.system_buid.clone();
        let mut escrow_bag = vec![0_u8; 32];
        getrandom::fill(&mut escrow_bag).map_err(|_| PairingError::Random)?;
        Ok(Self {
            host_id: record.host_id.clone(),
            system_buid: system_buid.ok_or(PairingError::Missing { key: "SystemBUID" })?,
            escrow_bag: Secret(escrow_bag),
            tls: tls::server_config(device, device_key()?, vec![host, root])
                .map_err(PairingError::Tls)?,
        })
    }
}

/// The pair record of a host that was paired in the past, for usbmuxd to hand out, and what the phone remembers of it.
pub fn past_pairing(
    udid: &str,
    wifi_address: &str,
    buid: &str,
) -> Result<(PairRecord, Pairing), PairingError> {
    let host = past_host()?;
    let pem = |text: &str| Some(Secret(text.as_bytes().to_vec()));
    let mut record = PairRecord {
        host_id: "0FA4E000-0000-4000-8000-0000000000B1".to_owned(),
        system_buid: Some(buid.to_owned()),
        device_certificate: pem(&host.device_certificate),
        host_certificate: pem(&host.host_certificate),
        root_certificate: pem(&host.root_certificate),
        host_private_key: pem(&host.host_key),
        root_private_key: pem(&host.root_key),
        escrow_bag: None,
        wifi_mac_address: Some(wifi_address.to_owned()),
        udid: Some(udid.to_owned()),
    };
    let pairing = Pairing::from_record(&record)?;
    record.escrow_bag = Some(pairing.escrow_bag.clone());
    Ok((record, pairing))
}

/// DevicePublicKey as lockdownd hands it out: PKCS#1 in PEM.
#[must_use]
pub fn device_public_key() -> Vec<u8> {
    keys().map_or_else(
        |_| Vec::new(),
        |keys| keys.device_public.clone().into_bytes(),
    )
}

fn device_key() -> Result<PrivateKeyDer<'static>, PairingError> {
    Ok(PrivatePkcs8KeyDer::from(keys()?.device.clone()).into())
}

/// The RSA keys of this process: making one costs a noticeable part of a second, and all phones may share them.
struct Keys {
    device: Vec<u8>,
    device_public: String,
    host: Vec<u8>,
}

fn keys() -> Result<&'static Keys, PairingError> {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    if let Some(keys) = KEYS.get() {
        return Ok(keys);
    }
    let mut chance = rsa::rand_core::OsRng;
    let device = rsa::RsaPrivateKey::new(&mut chance, KEY_BITS).map_err(PairingError::Key)?;
    let host = rsa::RsaPrivateKey::new(&mut chance, KEY_BITS).map_err(PairingError::Key)?;
    let public = device
        .to_public_key()
        .to_pkcs1_pem(rsa::pkcs8::LineEnding::LF)
        .map_err(|error| {
            PairingError::Encoding(rsa::pkcs8::Error::from(rsa::pkcs8::spki::Error::from(
                error,
            )))
        })?;
    let der = |key: &rsa::RsaPrivateKey| {
        key.to_pkcs8_der()
            .map(|der| der.as_bytes().to_vec())
            .map_err(PairingError::Encoding)
    };
    let made = Keys {
        device: der(&device)?,
        device_public: public,
        host: der(&host)?,
    };
    Ok(KEYS.get_or_init(|| made))
}

/// The host of the past, as PEM.
struct PastHost {
    root_certificate: String,
    root_key: String,
    host_certificate: String,
    host_key: String,
    device_certificate: String,
}

fn past_host() -> Result<&'static PastHost, PairingError> {
    static HOST: OnceLock<PastHost> = OnceLock::new();
    if let Some(host) = HOST.get() {
        return Ok(host);
    }
    let made = make_past_host()?;
    Ok(HOST.get_or_init(|| made))
}

fn make_past_host() -> Result<PastHost, PairingError> {
    let keys = keys()?;
    let key_of = |der: &[u8]| KeyPair::try_from(der).map_err(PairingError::Certificate);
    // Root and host certificate may share a key: no client compares them.
    let root_key = key_of(&keys.host)?;
    let host_key = key_of(&keys.host)?;
    let device_key = key_of(&keys.device)?;

    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name
        .push(DnType::CommonName, "simulated root");
    let root_certificate = root
        .self_signed(&root_key)
        .map_err(PairingError::Certificate)?;
    let root_pem = root_key.serialize_pem();
    let issuer = Issuer::new(root, root_key);
    let leaf = |name: &str, key: &KeyPair| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params
            .signed_by(key, &issuer)
            .map(|certificate| certificate.pem())
            .map_err(PairingError::Certificate)
    };
    Ok(PastHost {
        root_certificate: root_certificate.pem(),
        root_key: root_pem,
        host_certificate: leaf("simulated host", &host_key)?,
        device_certificate: leaf("simulated device", &device_key)?,
        host_key: host_key.serialize_pem(),
    })
}
