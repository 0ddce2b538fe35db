//! What holds for single devices alone, as a person reads it: each key that is not as for all others, with its value.

use std::collections::BTreeMap;

use backupwatch_core::Udid;

use super::{Config, difference};

/// See the module.
pub type Alone = BTreeMap<Udid, BTreeMap<String, String>>;

/// Since when a device is muted is told by itself.
const MUTED: &str = "muted_since";

impl Config {
    /// The thresholds of devices that have some of their own.
    pub fn alone(&self) -> Result<Alone, toml::ser::Error> {
        let mut alone = Alone::new();
        let general = toml::Table::try_from(&self.policies.general)?;
        for (udid, policy) in &self.policies.devices {
            let mut own = difference(&general, toml::Table::try_from(policy)?);
            own.remove(MUTED);
            let mut keys = BTreeMap::new();
            collect("", &own, &mut keys);
            if !keys.is_empty() {
                alone.insert(udid.clone(), keys);
            }
        }
        Ok(alone)
    }
}

fn collect(above: &str, table: &toml::Table, keys: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = format!("{above}{key}");
        match value {
            toml::Value::Table(inner) => collect(&format!("{key}."), inner, keys),
            toml::Value::String(text) => drop(keys.insert(key, text.clone())),
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => drop(keys.insert(key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_as_for_all_others() {
        let config = Config::parse(
            "icloud.stale = \"5 d\"\n[device.00008110-000A1B2C3D4E001E]\nname = \"Ada\"\n\
             icloud.stale = \"5 d\"\nicloud.late = \"1 d\"\nbackup.min_battery = 40\nbackup.root = \"/photos\"\n\
             [device.00008110-000A1B2C3D4E002F]\nmuted_since = \"2026-11-20T10:00:00Z\"\n",
        );
        let alone = config.unwrap().alone().unwrap();
        let (udid, keys) = alone.first_key_value().unwrap();
        assert_eq!((alone.len(), udid.short().len() > 3), (1, true));
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(keys, ["backup.min_battery=40", "icloud.late=1 d"]);
    }
}
