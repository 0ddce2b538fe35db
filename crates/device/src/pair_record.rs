//! A stored pair record made ready for use: who we are to the phone, and the identity that TLS shows.
//!
//! `idevice` refuses a record without `RootPrivateKey` or `WiFiMACAddress`, which records of other tools lack
//! (protocol.md 4.3, 13.12). A session needs neither, so here only what a session needs is required.
//!
//! Not here: the record's form (`wire`), usbmuxd's requests (`mux`), and how a new record comes about (`pair`).

use std::fmt;

use backupwatch_wire::lockdown::{MessageError, PairRecord, Secret};
use idevice::IdeviceError;
use idevice::pairing_file::PairingFile;
use plist::{Dictionary, Value};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// What is wrong with a stored pair record.
#[derive(Debug, thiserror::Error)]
pub enum PairRecordError {
    #[error("it cannot be read")]
    Unreadable(#[source] MessageError),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{key} is no PEM")]
    Pem {
        key: &'static str,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("its certificate and key do not make an identity")]
    Identity(#[source] rustls::Error),
    #[error("its root certificate is unusable")]
    Root(#[source] rustls::Error),
    #[error("the TLS library refuses it")]
    Refused(#[source] Box<IdeviceError>),
}

/// A usable pair record. It holds private keys, so its `Debug` shows nothing.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub host_id: String,
    pub system_buid: Option<String>,
    /// Lets a service read protected files while the phone is locked. Absent on watches and in records of some tools.
    pub escrow_bag: Option<Secret>,
    tls: PairingFile,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Reads a record as usbmuxd hands it out.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, PairRecordError> {
        let record = PairRecord::decode(bytes).map_err(PairRecordError::Unreadable)?;
        let root = needed("RootCertificate", record.root_certificate.as_ref())?;
        // libimobiledevice identifies itself with the root pair, everybody else with the host pair; phones take both
        // (protocol.md 4.4). So a record with only one of the two keys will do.
        let identity = match (&record.host_private_key, &record.root_private_key) {
            (Some(key), _) => Identity {
                certificate: needed("HostCertificate", record.host_certificate.as_ref())?,
                certificate_name: "HostCertificate",
                key,
                key_name: "HostPrivateKey",
            },
            (None, Some(key)) => Identity {
                certificate: root,
                certificate_name: "RootCertificate",
                key,
                key_name: "RootPrivateKey",
            },
            (None, None) => return Err(PairRecordError::Missing("HostPrivateKey")),
        };
        identity.check()?;
        check_root(root)?;
        let tls = for_idevice(&record.host_id, &identity, root)?;
        Ok(Self {
            host_id: record.host_id,
            system_buid: record.system_buid,
            escrow_bag: record.escrow_bag.filter(|bag| !bag.0.is_empty()),
            tls,
        })
    }

    pub(crate) fn for_tls(&self) -> &PairingFile {
        &self.tls
    }
}

/// What we show in TLS.
struct Identity<'a> {
    certificate: &'a Secret,
    certificate_name: &'static str,
    key: &'a Secret,
    key_name: &'static str,
}

impl Identity<'_> {
    /// `idevice` panics on a certificate and key that do not belong together (`with_client_auth_cert(..).unwrap()` in
    /// its TLS set-up), so the same question is asked here first.
    fn check(&self) -> Result<(), PairRecordError> {
        let certificate = certificate(self.certificate_name, self.certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(&self.key.0).map_err(|source| PairRecordError::Pem {
                key: self.key_name,
                source,
            })?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(vec![certificate], key, &provider)
            .map(|_| ())
            .map_err(PairRecordError::Identity)
    }
}

fn check_root(root: &Secret) -> Result<(), PairRecordError> {
    rustls::RootCertStore::empty()
        .add(certificate("RootCertificate", root)?)
        .map_err(PairRecordError::Root)
}

/// The record as `idevice` wants it. It uses the three values that are filled in here for nothing in a session: nobody
/// checks the phone's certificate (protocol.md 4.4), and the two others only travel with the record.
fn for_idevice(
    host_id: &str,
    identity: &Identity<'_>,
    root: &Secret,
) -> Result<PairingFile, PairRecordError> {
    let data = |secret: &Secret| Value::Data(secret.0.clone());
    let full = Dictionary::from_iter([
        ("HostID", Value::from(host_id)),
        ("SystemBUID", Value::from("")),
        ("HostCertificate", data(identity.certificate)),
        ("HostPrivateKey", data(identity.key)),
        ("RootCertificate", data(root)),
        ("RootPrivateKey", Value::Data(Vec::new())),
        ("DeviceCertificate", data(root)),
        ("WiFiMACAddress", Value::from("")),
    ]);
    PairingFile::from_value(&Value::Dictionary(full))
        .map_err(|error| PairRecordError::Refused(Box::new(error)))
}

fn certificate(
    name: &'static str,
    pem: &Secret,
) -> Result<CertificateDer<'static>, PairRecordError> {
    CertificateDer::from_pem_slice(&pem.0)
        .map_err(|source| PairRecordError::Pem { key: name, source })
}

fn needed<'a>(
    name: &'static str,
    value: Option<&'a Secret>,
) -> Result<&'a Secret, PairRecordError> {
    value.ok_or(PairRecordError::Missing(name))
}
