//! Where the configuration is read from: the person's own file, and above it the one that whoever looks after this computer has laid
//! down for everybody. What that one says holds, key by key; the rest is the person's.

use std::path::{Path, PathBuf};

use backupwatch_core::Udid;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, Mistake, text};
use crate::paths::Base;
use crate::trusted::changeable;

/// Only root may have written the managed file.
const ROOT: u32 = 0;

/// See the module.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The managed file; it need not be there.
    pub managed: Option<PathBuf>,
    /// The person's file.
    pub file: PathBuf,
    /// Whether the person named it, so that it has to be there.
    pub named: bool,
    /// The folders of the person.
    pub base: Base,
}

/// What somebody else has configured for everybody on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Managed {
    /// In this file.
    pub file: PathBuf,
    /// These keys, dotted.
    pub keys: Vec<String>,
}

impl Managed {
    /// In a sentence.
    pub fn words(&self) -> String {
        let (file, keys) = (self.file.display(), self.keys.join(", "));
        format!("Whoever looks after this computer has set {keys} in {file}.")
    }

    /// The keys of this device alone, as they stand in its table.
    pub fn of(&self, udid: &Udid) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| {
            let (device, key) = key.strip_prefix("device.")?.split_once('.')?;
            (Udid::typed(device).ok()? == *udid).then_some(key)
        })
    }
}

impl Sources {
    /// What holds now.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_of(&[ROOT])
    }

    /// What would hold if this stood in the person's file.
    pub fn with(&self, own: &str) -> Result<Config, ConfigError> {
        self.with_of(own, &[ROOT])
    }

    /// What holds now where these users may write the managed file.
    pub(super) fn load_of(&self, owners: &[u32]) -> Result<Config, ConfigError> {
        let own = text(&self.file, self.named)?.unwrap_or_default();
        self.with_of(&own, owners)
    }

    pub(super) fn with_of(&self, own: &str, owners: &[u32]) -> Result<Config, ConfigError> {
        // By itself first: its mistakes have a place.
        let mut config = Config::parse(own).map_err(|mistake| wrong(&self.file, mistake))?;
        if let Some(file) = &self.managed
            && let Some(managed) = text(file, false)?
        {
            config = self.under(own, file, &managed, owners)?;
        }
        config.own.metrics = config.own.metrics.at_home(&self.base);
        Ok(config)
    }

    /// The person's configuration with the managed one laid over it.
    fn under(
        &self,
        own: &str,
        file: &Path,
        managed: &str,
        owners: &[u32],
    ) -> Result<Config, ConfigError> {
        let changeable = changeable(file, owners).map_err(|source| ConfigError::Io {
            path: file.to_owned(),
            source,
        })?;
        if let Some(what) = changeable {
            let path = file.to_owned();
            return Err(ConfigError::Untrusted { path, what });
        }
        Config::parse(managed).map_err(|mistake| wrong(file, mistake))?;
        let together = |managed: &str| -> Result<_, String> {
            let mut whole: toml::Table = own.parse().map_err(|_| "it is no table".to_owned())?;
            let managed: toml::Table = managed.parse().map_err(|_| "it is no table".to_owned())?;
            let mut keys = Vec::new();
            dotted("", &managed, &mut keys);
            overlay(&mut whole, managed);
            let whole = toml::to_string(&whole).map_err(|error| error.to_string())?;
            let config = Config::parse(&whole).map_err(|mistake| mistake.message)?;
            Ok((config, keys))
        };
        let (config, keys) = together(managed).map_err(|why| {
            let beside = self.file.display();
            wrong(
                file,
                Mistake::plain(format!("together with {beside}: {why}")),
            )
        })?;
        let managed = (!keys.is_empty()).then(|| Managed {
            file: file.to_owned(),
            keys,
        });
        Ok(Config { managed, ..config })
    }
}

fn wrong(path: &Path, mistake: Mistake) -> ConfigError {
    ConfigError::Mistake {
        path: path.to_owned(),
        mistake: Box::new(mistake),
    }
}

fn overlay(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        // A device is the same however its UDID is written.
        let same = |other: &&String| **other == key || is_same_device(other, &key);
        let key = under.keys().find(same).cloned().unwrap_or(key);
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => overlay(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

fn is_same_device(one: &str, other: &str) -> bool {
    match (Udid::typed(one), Udid::typed(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), _) => false,
    }
}

fn dotted(above: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        let key = format!("{above}{key}");
        match value {
            toml::Value::Table(inner) => dotted(&format!("{key}."), inner, keys),
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => keys.push(key),
        }
    }
}
