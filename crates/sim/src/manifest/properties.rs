//! `Manifest.plist`: what a reader needs before it can open anything else.

use jiff::Timestamp;
use plist::{Dictionary, Value};

use super::Secrets;
use crate::keybag::{Key, Keybag, KeybagError};

#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    /// What LIM#1582 shows as "Cannot parse a NULL or zero-length data".
    #[error("it is empty")]
    Empty,
    #[error("it is no property list")]
    Plist,
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("its keys do not open")]
    Keys(#[from] KeybagError),
}

/// The parts of `Manifest.plist` that a backup depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    pub date: Timestamp,
    pub encrypted: bool,
    pub keybag: Vec<u8>,
    /// Class and wrapped key of `Manifest.db`.
    pub manifest_key: Option<Vec<u8>>,
}

/// `Manifest.db` is wrapped in the class that is always open.
const MANIFEST_CLASS: u32 = 4;

impl Properties {
    /// # Errors
    /// The class of the manifest's key is missing.
    pub fn new(
        date: Timestamp,
        keybag: Vec<u8>,
        secrets: Option<&Secrets>,
    ) -> Result<Self, KeybagError> {
        let manifest_key = secrets
            .map(|secrets| secrets.keybag.wrap(MANIFEST_CLASS, &secrets.of_manifest()))
            .transpose()?;
        Ok(Self {
            date,
            encrypted: secrets.is_some(),
            keybag,
            manifest_key: manifest_key.map(|key| key.to_vec()),
        })
    }

    /// The dictionary as the phone writes it.
    #[must_use]
    pub fn to_value(
        &self,
        passcode_set: bool,
        lockdown: Dictionary,
        applications: Dictionary,
    ) -> Value {
        let mut out = Dictionary::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("BackupKeyBag", Value::Data(self.keybag.clone()));
        put("Version", "10.0".into());
        put("Date", date(self.date));
        put("SystemDomainsVersion", "24.0".into());
        put("WasPasscodeSet", passcode_set.into());
        put("Lockdown", Value::Dictionary(lockdown));
        put("Applications", Value::Dictionary(applications));
        put("IsEncrypted", self.encrypted.into());
        if let Some(key) = &self.manifest_key {
            put("ManifestKey", Value::Data(key.clone()));
        }
        Value::Dictionary(out)
    }

    /// # Errors
    /// It is empty, no property list, or lacks what is needed.
    pub fn parse(bytes: &[u8]) -> Result<Self, PropertiesError> {
        if bytes.is_empty() {
            return Err(PropertiesError::Empty);
        }
        let value =
            Value::from_reader(std::io::Cursor::new(bytes)).map_err(|_| PropertiesError::Plist)?;
        let values = value.into_dictionary().ok_or(PropertiesError::Plist)?;
        let data = |key: &'static str| values.get(key).and_then(Value::as_data).map(<[u8]>::to_vec);
        let date = values
            .get("Date")
            .and_then(Value::as_date)
            .ok_or(PropertiesError::Missing("Date"))?;
        Ok(Self {
            date: Timestamp::try_from(std::time::SystemTime::from(date))
                .map_err(|_| PropertiesError::Missing("Date"))?,
            encrypted: values
                .get("IsEncrypted")
                .and_then(Value::as_boolean)
                .ok_or(PropertiesError::Missing("IsEncrypted"))?,
            keybag: data("BackupKeyBag").ok_or(PropertiesError::Missing("BackupKeyBag"))?,
            manifest_key: data("ManifestKey"),
        })
    }

    /// Opens the keybag with a password and with it the key of `Manifest.db`.
    ///
    /// # Errors
    /// The password is wrong, or there is no key.
    pub fn unlock(&self, password: &str) -> Result<(Keybag, Key), PropertiesError> {
        let keybag = Keybag::open(&self.keybag, password.as_bytes())?;
        let wrapped = self
            .manifest_key
            .as_ref()
            .ok_or(PropertiesError::Missing("ManifestKey"))?;
        let key = keybag.unwrap(wrapped)?;
        Ok((keybag, key))
    }
}

/// A moment as a plist date.
pub(super) fn date(at: Timestamp) -> Value {
    Value::Date(std::time::SystemTime::from(at).into())
}
