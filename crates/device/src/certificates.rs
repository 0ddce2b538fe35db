//! The keys and certificates of a new pairing: a root and a host key of our own, and a certificate for the phone's key.
//!
//! RSA-2048, X.509v3, ten years, SHA-256, empty names: what libimobiledevice makes, because that is what phones have
//! accepted for ten years (protocol.md 4.3). Not here: asking the phone (`pair`), and the record as stored (`pair_record`).

use std::fmt;

use backupwatch_core::HostTime;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPublicKey, EncodeRsaPublicKey};
use rsa::pkcs8::{DecodePublicKey, EncodePrivateKey, LineEnding};
use rsa::rand_core::{OsRng, RngCore};
use rsa::traits::PublicKeyParts;
use rustls::pki_types::PrivatePkcs8KeyDer;

const BITS: usize = 2048;
const YEARS: i32 = 10;
/// A phone's key is RSA-2048. Anything over this is not a phone, and not worth the arithmetic.
const LONGEST_DEVICE_KEY: usize = 4096;

/// Why no certificates could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the phone's public key is unusable: {0}")]
    DeviceKey(String),
    #[error("make a key: {0}")]
    Key(#[source] rsa::Error),
    #[error("encode a key: {0}")]
    Encode(#[source] rsa::pkcs8::Error),
    #[error("sign a certificate: {0}")]
    Sign(#[source] rcgen::Error),
    #[error("the task that makes the keys ended early")]
    Task(#[source] tokio::task::JoinError),
}

/// What one pairing rests on, all as PEM. It has no `Debug` that shows the keys.
pub(crate) struct Identity {
    pub host_id: String,
    pub device_certificate: String,
    pub host_certificate: String,
    pub host_private_key: String,
    pub root_certificate: String,
    pub root_private_key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// Makes the keys and certificates for a phone with this public key (PEM, PKCS#1 as phones send it, or SPKI). The two
/// keys are made off the runtime's threads: each takes a noticeable part of a second.
pub(crate) async fn make_identity(
    device_public_key: Vec<u8>,
    now: HostTime,
) -> Result<Identity, CertificateError> {
    let root = tokio::task::spawn_blocking(make_key);
    let host = tokio::task::spawn_blocking(make_key);
    let root = root.await.map_err(CertificateError::Task)??;
    let host = host.await.map_err(CertificateError::Task)??;
    certify(&device_public_key, &root, &host, now)
}

fn make_key() -> Result<RsaPrivateKey, CertificateError> {
    RsaPrivateKey::new(&mut OsRng, BITS).map_err(CertificateError::Key)
}

fn certify(
    device_public_key: &[u8],
    root: &RsaPrivateKey,
    host: &RsaPrivateKey,
    now: HostTime,
) -> Result<Identity, CertificateError> {
    let device = DeviceKey::from_pem(device_public_key)?;
    let root_pair = key_pair(root)?;
    let host_pair = key_pair(host)?;

    let root_params = params(
        now,
        IsCa::Ca(BasicConstraints::Unconstrained),
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
    );
    let root_certificate = root_params
        .self_signed(&root_pair)
        .map_err(CertificateError::Sign)?;
    let issuer = Issuer::from_params(&root_params, &root_pair);

    let leaf = params(
        now,
        IsCa::ExplicitNoCa,
        vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ],
    );
    let host_certificate = leaf
        .signed_by(&host_pair, &issuer)
        .map_err(CertificateError::Sign)?;
    let device_certificate = leaf
        .signed_by(&device, &issuer)
        .map_err(CertificateError::Sign)?;

    Ok(Identity {
        host_id: random_uuid(),
        device_certificate: device_certificate.pem(),
        host_certificate: host_certificate.pem(),
        host_private_key: private_pem(host)?,
        root_certificate: root_certificate.pem(),
        root_private_key: private_pem(root)?,
    })
}

fn params(now: HostTime, is_ca: IsCa, key_usages: Vec<KeyUsagePurpose>) -> CertificateParams {
    let mut params = CertificateParams::default();
    // A day early, so that a phone whose clock is a little behind does not see a certificate from tomorrow.
    let today = now.0.to_zoned(jiff::tz::TimeZone::UTC).date();
    let from = today.yesterday().unwrap_or(today);
    let year = i32::from(from.year());
    let month = u8::try_from(from.month()).unwrap_or(1);
    // 29 February of a year that is ten later does not exist; nobody misses a day of ten years.
    let day = u8::try_from(from.day()).unwrap_or(1).min(28);
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(year + YEARS, month, day);
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from(vec![1]));
    params.is_ca = is_ca;
    params.key_usages = key_usages;
    params
}

fn key_pair(key: &RsaPrivateKey) -> Result<KeyPair, CertificateError> {
    let der = key.to_pkcs8_der().map_err(CertificateError::Encode)?;
    KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(der.as_bytes()),
        &PKCS_RSA_SHA256,
    )
    .map_err(CertificateError::Sign)
}

fn private_pem(key: &RsaPrivateKey) -> Result<String, CertificateError> {
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(CertificateError::Encode)?;
    Ok(pem.to_string())
}

/// A version 4 UUID in capitals, as host identifiers are written.
fn random_uuid() -> String {
    let mut bytes = [0u8; 16];
    OsRng.fill_bytes(&mut bytes);
    let random = u128::from_be_bytes(bytes);
    let versioned = (random & !(0xF << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{versioned:032X}");
    let mut out = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// The phone's public key, checked: rcgen signs whatever bytes it is given.
struct DeviceKey {
    pkcs1: Vec<u8>,
}

impl DeviceKey {
    fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let bad = |what: &dyn fmt::Display| CertificateError::DeviceKey(what.to_string());
        let text = std::str::from_utf8(pem).map_err(|error| bad(&error))?;
        // Phones end the text with a NUL or a newline more than PEM readers like.
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let key = rsa::RsaPublicKey::from_pkcs1_pem(text)
            .or_else(|first| rsa::RsaPublicKey::from_public_key_pem(text).map_err(|_| first))
            .map_err(|error| bad(&error))?;
        if key.size() * 8 > LONGEST_DEVICE_KEY {
            return Err(bad(&format_args!("{} bits", key.size() * 8)));
        }
        let der = key.to_pkcs1_der().map_err(|error| bad(&error))?;
        Ok(Self {
            pkcs1: der.as_bytes().to_vec(),
        })
    }
}

impl PublicKeyData for DeviceKey {
    fn der_bytes(&self) -> &[u8] {
        &self.pkcs1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::EncodePublicKey;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::server::WebPkiClientVerifier;

    use super::*;

    fn now() -> HostTime {
        HostTime("2026-10-04T12:00:00Z".parse().unwrap())
    }

    #[tokio::test]
    async fn the_root_vouches_for_host_and_phone() {
        let phone = make_key().unwrap();
        let pem = phone
            .to_public_key()
            .to_pkcs1_pem(LineEnding::LF)
            .unwrap()
            .into_bytes();
        let identity = make_identity(pem, now()).await.unwrap();

        let root = CertificateDer::from_pem_slice(identity.root_certificate.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(
            roots.into(),
            rustls::crypto::ring::default_provider().into(),
        )
        .build()
        .unwrap();
        let at = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            1_791_115_200,
        ));
        for certificate in [&identity.host_certificate, &identity.device_certificate] {
            let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            verifier.verify_client_cert(&leaf, &[], at).unwrap();
        }

        let device =
            CertificateDer::from_pem_slice(identity.device_certificate.as_bytes()).unwrap();
        let spki = phone.to_public_key().to_public_key_der().unwrap();
        assert!(
            device
                .windows(spki.as_bytes().len())
                .any(|window| window == spki.as_bytes()),
            "the phone's certificate holds the phone's key"
        );
    }

    #[test]
    fn keys_that_are_no_keys_are_refused() {
        let pkcs1 = "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n";
        for bad in ["", "hello", pkcs1, "-----BEGIN RSA PUBLIC KEY-----"] {
            assert!(
                matches!(
                    DeviceKey::from_pem(bad.as_bytes()),
                    Err(CertificateError::DeviceKey(_))
                ),
                "{bad:?}"
            );
        }
        assert!(DeviceKey::from_pem(&[0xFF, 0xFE]).is_err());
    }

    #[test]
    fn host_identifiers_are_version_4_uuids_in_capitals() {
        let one = random_uuid();
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'A' | b'B'));
        assert_eq!(one, one.to_uppercase());
        assert_ne!(one, random_uuid());
    }
}
