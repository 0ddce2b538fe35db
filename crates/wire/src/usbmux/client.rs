//! Who asks usbmuxd, and who listens to it.
//!
//! All of it is a courtesy between programs: nothing is refused for want of it.

use plist::{Dictionary, Value};

use crate::fields;

/// Who is asking. A daemon shows it in its list of listeners and otherwise ignores it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub prog_name: String,
    pub version: String,
    pub bundle_id: String,
    /// 3 in every present client.
    pub lib_version: u32,
}

/// One client in the answer to ListListeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub client: Client,
    pub id: String,
    pub connection_type: i64,
    pub blacklisted: bool,
}

impl Client {
    pub(super) fn encode(&self) -> Dictionary {
        Dictionary::from_iter([
            ("BundleID", Value::from(self.bundle_id.as_str())),
            ("ClientVersionString", self.version.as_str().into()),
            ("ProgName", self.prog_name.as_str().into()),
            ("kLibUSBMuxVersion", self.lib_version.into()),
        ])
    }

    /// Every part is a courtesy, so one that is missing or odd is left empty.
    pub(super) fn decode(dict: &Dictionary) -> Self {
        let text = |key| {
            fields::string(dict, key)
                .ok()
                .flatten()
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            prog_name: text("ProgName"),
            version: text("ClientVersionString"),
            bundle_id: text("BundleID"),
            lib_version: fields::integer(dict, "kLibUSBMuxVersion")
                .ok()
                .flatten()
                .unwrap_or_default(),
        }
    }
}

impl Listener {
    pub(super) fn encode(&self) -> Dictionary {
        let mut dict = self.client.encode();
        dict.insert("ID String".to_owned(), self.id.as_str().into());
        dict.insert("ConnType".to_owned(), self.connection_type.into());
        dict.insert("Blacklisted".to_owned(), self.blacklisted.into());
        dict
    }

    pub(super) fn decode(dict: &Dictionary) -> Self {
        Self {
            client: Client::decode(dict),
            id: fields::string(dict, "ID String")
                .ok()
                .flatten()
                .unwrap_or_default()
                .to_owned(),
            connection_type: fields::integer(dict, "ConnType")
                .ok()
                .flatten()
                .unwrap_or_default(),
            blacklisted: fields::boolean(dict, "Blacklisted")
                .ok()
                .flatten()
                .unwrap_or_default(),
        }
    }
}
