//! What is told to a webhook: one thing that happened to one device, as JSON. A contract with programs: additive changes only.
//!
//! Whoever hears it may be anybody, so without the person's leave there is no name in it, no identifier that leads to a phone, and
//! no sentence made of what a phone said.

use backupwatch_core::{HostTime, Protection, Udid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alias::Aliases;

/// The number of this shape.
pub const SCHEMA: u32 = 1;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A device has another protection than before, or is new.
    ProtectionChanged,
    /// A local backup was made and verified.
    BackupVerified,
    /// A local backup did not come to its end.
    BackupFailed,
    /// Files of the newest local backup are not what they were.
    BackupDamaged,
    /// The program after a backup failed.
    HookFailed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ProtectionChanged,
        Self::BackupVerified,
        Self::BackupFailed,
        Self::BackupDamaged,
        Self::HookFailed,
    ];
}

/// One thing that happened to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Names this event, however often it is sent.
    pub id: String,
    /// When.
    pub at: HostTime,
    /// What.
    pub kind: Kind,
    /// To which device.
    pub udid: Udid,
    /// Its name, which goes out only with the person's leave.
    pub name: Option<String>,
    /// Its protection before, where this is about it.
    pub before: Option<Protection>,
    /// And since.
    pub after: Option<Protection>,
    /// The stable code of how something ended.
    pub outcome: Option<String>,
    /// One sentence, which may have names in it.
    pub words: String,
}

/// The message, as it is sent.
#[derive(Debug, Serialize)]
struct Message<'e> {
    schema: u32,
    id: &'e str,
    #[serde(rename = "type")]
    kind: Kind,
    timestamp: Timestamp,
    data: Data<'e>,
}

#[derive(Debug, Serialize)]
struct Data<'e> {
    device: Device<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Protection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Protection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'e str>,
    words: String,
}

#[derive(Debug, Serialize)]
struct Device<'e> {
    alias: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    udid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'e str>,
}

impl Event {
    /// The message about it.
    pub fn message(&self, names: bool, aliases: &Aliases) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Message {
            schema: SCHEMA,
            id: &self.id,
            kind: self.kind,
            timestamp: self.at.0,
            data: Data {
                device: Device {
                    alias: aliases.of(self.udid.as_str()),
                    udid: names.then(|| self.udid.as_str()),
                    name: self.name.as_deref().filter(|_| names),
                },
                before: self.before,
                after: self.after,
                outcome: self.outcome.as_deref(),
                words: if names {
                    self.words.clone()
                } else {
                    self.nameless()
                },
            },
        })
    }

    /// A sentence that is the same for every device.
    fn nameless(&self) -> String {
        let how = |protection| match protection {
            Protection::Protected => "protected",
            Protection::AtRisk => "at risk",
            Protection::Unprotected => "unprotected",
            Protection::Unknown => "in a state that is not known",
        };
        match (self.kind, self.before, self.after) {
            (Kind::ProtectionChanged, Some(before), Some(after)) => {
                format!("A device was {} and is now {}.", how(before), how(after))
            }
            (Kind::ProtectionChanged, _, after) => {
                format!("A device is {}.", how(after.unwrap_or(Protection::Unknown)))
            }
            (Kind::BackupVerified, ..) => {
                "A local backup of a device was made and verified.".to_owned()
            }
            (Kind::BackupFailed, ..) => {
                "A local backup of a device did not come to its end.".to_owned()
            }
            (Kind::BackupDamaged, ..) => {
                "Files of a device's newest local backup are not what they were.".to_owned()
            }
            (Kind::HookFailed, ..) => "The program after a device's backup failed.".to_owned(),
        }
    }
}

/// An identifier from chance, in the form of a UUID of version 4.
pub fn uuid(mut chance: [u8; 16]) -> String {
    let [.., six, _, eight, _, _, _, _, _, _, _] = &mut chance;
    *six = (*six & 0x0f) | 0x40;
    *eight = (*eight & 0x3f) | 0x80;
    let mut out = String::with_capacity(36);
    for (index, byte) in chance.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            id: "evt_1".to_owned(),
            at: HostTime("2026-11-22T10:00:00Z".parse().unwrap()),
            kind: Kind::ProtectionChanged,
            udid: Udid::parse("00008110-000A1B2C3D4E5F60").unwrap(),
            name: Some("Ada's iPhone".to_owned()),
            before: Some(Protection::Protected),
            after: Some(Protection::Unprotected),
            outcome: None,
            words: "Ada's iPhone has had no iCloud backup for 58 days.".to_owned(),
        }
    }

    fn told(event: &Event, names: bool) -> String {
        let dir = tempfile::tempdir().unwrap();
        let state = crate::state::open(&dir.path().join("state.db"))
            .unwrap()
            .state;
        let aliases = Aliases::made(&state).unwrap();
        let told = String::from_utf8(event.message(names, &aliases).unwrap()).unwrap();
        let alias = aliases.of(event.udid.as_str());
        assert!(told.contains(&alias), "{told}");
        told.replace(&alias, "ALIAS")
    }

    #[test]
    fn the_message_is_a_contract() {
        insta::assert_snapshot!(format!(
            "{}\n{}",
            told(&event(), false),
            told(&event(), true)
        ));
    }

    #[test]
    fn without_leave_nothing_leads_to_a_device() {
        for kind in Kind::ALL {
            let told = told(&Event { kind, ..event() }, false);
            for secret in ["Ada", "00008110", "5F60"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }

    #[test]
    fn a_uuid_has_its_form() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([255; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
