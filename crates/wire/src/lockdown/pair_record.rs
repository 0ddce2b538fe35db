//! A pair record: what a host and a device keep about each other, private keys included.
//!
//! Nothing of a record's secrets is ever shown: [`Secret`] has a `Debug` without content.
//!
//! Not here: making certificates, and where records are kept (usbmuxd keeps them).

use std::fmt;

use plist::{Dictionary, Value};

use super::MessageError;
use crate::codec::{self, Limits};
use crate::fields;

/// Bytes that must not be shown: keys, escrow bags.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A pair record, whole as usbmuxd keeps it or in part as a Pair request carries it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PairRecord {
    pub host_id: String,
    pub system_buid: Option<String>,
    pub device_certificate: Option<Secret>,
    pub host_certificate: Option<Secret>,
    pub root_certificate: Option<Secret>,
    pub host_private_key: Option<Secret>,
    pub root_private_key: Option<Secret>,
    /// Opens services on a locked device that was unlocked once since it started. A Watch gives none.
    pub escrow_bag: Option<Secret>,
    pub wifi_mac_address: Option<String>,
    pub udid: Option<String>,
}

impl fmt::Debug for PairRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairRecord(..)")
    }
}

impl PairRecord {
    /// Longest encoded record; real ones have under 10 KiB.
    pub const MAX: usize = 256 * 1024;

    /// The record without the keys that never leave the host, as Pair, ValidatePair and Unpair send it.
    #[must_use]
    pub fn for_device(&self) -> Self {
        Self {
            host_private_key: None,
            root_private_key: None,
            escrow_bag: None,
            ..self.clone()
        }
    }

    /// The record as usbmuxd keeps it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::to_xml(&Value::Dictionary(self.to_dictionary()))
    }

    /// Reads a record that usbmuxd kept.
    ///
    /// # Errors
    /// When the bytes are no record: not a dictionary, or without a `HostID`.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let value = codec::decode(bytes, Limits::of_bytes(Self::MAX))?;
        Self::from_dictionary(value.as_dictionary().ok_or(MessageError::NotDictionary)?)
    }

    /// The record as a part of a message.
    #[must_use]
    pub fn to_dictionary(&self) -> Dictionary {
        let text = |value: &Option<String>| value.as_deref().map(Value::from);
        let data =
            |value: &Option<Secret>| value.as_ref().map(|secret| Value::Data(secret.0.clone()));
        [
            ("DeviceCertificate", data(&self.device_certificate)),
            ("EscrowBag", data(&self.escrow_bag)),
            ("HostCertificate", data(&self.host_certificate)),
            ("HostID", Some(self.host_id.as_str().into())),
            ("HostPrivateKey", data(&self.host_private_key)),
            ("RootCertificate", data(&self.root_certificate)),
            ("RootPrivateKey", data(&self.root_private_key)),
            ("SystemBUID", text(&self.system_buid)),
            ("UDID", text(&self.udid)),
            ("WiFiMACAddress", text(&self.wifi_mac_address)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// Reads a record that is a part of a message.
    ///
    /// # Errors
    /// When there is no `HostID`, or a field is of another kind.
    pub fn from_dictionary(dict: &Dictionary) -> Result<Self, MessageError> {
        let text = |key| Ok::<_, MessageError>(fields::string(dict, key)?.map(str::to_owned));
        let data = |key| {
            Ok::<_, MessageError>(fields::data(dict, key)?.map(|bytes| Secret(bytes.to_vec())))
        };
        Ok(Self {
            host_id: fields::required("HostID", text("HostID")?)?,
            system_buid: text("SystemBUID")?,
            device_certificate: data("DeviceCertificate")?,
            host_certificate: data("HostCertificate")?,
            root_certificate: data("RootCertificate")?,
            host_private_key: data("HostPrivateKey")?,
            root_private_key: data("RootPrivateKey")?,
            escrow_bag: data("EscrowBag")?,
            wifi_mac_address: text("WiFiMACAddress")?,
            udid: text("UDID")?,
        })
    }
}
