//! The lockdown domains of a fresh phone (protocol.md 5.2, 5.4, 5.5), generated from its persona. Values that depend on
//! the moment (`TimeIntervalSince1970`, `PasswordProtected`) are made by lockdownd when asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plist::{Dictionary, Value};

use super::{BACKUP_DOMAIN, ROOT_DOMAIN};
use crate::pairing;
use crate::persona::{Persona, RequiresEncryption, Setup, toml_to_plist};

pub(super) fn of_persona(persona: &Persona, now: Timestamp) -> BTreeMap<String, Dictionary> {
    let mut domains: BTreeMap<String, Dictionary> = [
        (ROOT_DOMAIN, root(persona)),
        (BACKUP_DOMAIN, backup(persona, now)),
        ("com.apple.disk_usage", disk(persona)),
        ("com.apple.disk_usage.factory", disk(persona)),
        ("com.apple.mobile.battery", battery(persona)),
        ("com.apple.mobile.wireless_lockdown", wireless(persona)),
        ("com.apple.purplebuddy", setup(persona)),
        ("com.apple.iTunes", itunes()),
        ("com.apple.mobile.iTunes", mobile_itunes()),
        ("com.apple.mobile.data_sync", data_sync()),
        ("com.apple.international", international()),
        ("com.apple.mobile.chaperone", chaperone()),
        (
            "com.apple.fmip",
            of([("IsAssociated", Value::Boolean(true))]),
        ),
    ]
    .into_iter()
    .map(|(domain, values)| (domain.to_owned(), values))
    .collect();
    for (domain, table) in &persona.values {
        let values = domains.entry(domain.clone()).or_default();
        for (key, value) in table {
            values.insert(key.clone(), toml_to_plist(value));
        }
    }
    for path in &persona.lockdown.missing {
        match path.split_once('/') {
            Some((domain, key)) => {
                if let Some(values) = domains.get_mut(domain) {
                    values.remove(key);
                }
            }
            None => {
                domains.remove(path);
            }
        }
    }
    domains
}

fn of<const N: usize>(values: [(&str, Value); N]) -> Dictionary {
    values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn root(persona: &Persona) -> Dictionary {
    let identity = &persona.identity;
    of([
        ("ActivationState", text("Activated")),
        ("BasebandStatus", text("BBInfoAvailable")),
        ("BluetoothAddress", text(&identity.bluetooth_address())),
        ("BuildVersion", text(&identity.build)),
        ("CPUArchitecture", text("arm64e")),
        ("ChipID", Value::from(identity.chip_id())),
        ("DeviceClass", text(identity.device_class())),
        ("DeviceColor", text("1")),
        ("DeviceName", text(&identity.name)),
        ("DevicePublicKey", Value::Data(pairing::device_public_key())),
        ("HardwareModel", text(&identity.hardware_model)),
        ("HasSiDP", Value::Boolean(true)),
        ("HostAttached", Value::Boolean(true)),
        ("ModelNumber", text(&identity.model_number)),
        ("PairRecordProtectionClass", Value::from(4)),
        ("PartitionType", text("GUID_partition_scheme")),
        ("ProductName", text(&identity.product_name)),
        ("ProductType", text(&identity.product_type)),
        ("ProductVersion", text(&identity.ios)),
        ("ProductionSOC", Value::Boolean(true)),
        ("ProtocolVersion", text("2")),
        ("RegionInfo", text(&identity.region)),
        ("SerialNumber", text(&identity.serial())),
        (
            "SupportedDeviceFamilies",
            Value::Array(vec![Value::from(1)]),
        ),
        ("TelephonyCapability", Value::Boolean(true)),
        ("TimeZone", text(&identity.time_zone)),
        ("TimeZoneOffsetFromUTC", Value::from(identity.utc_offset_s)),
        ("TrustedHostAttached", Value::Boolean(true)),
        ("UniqueChipID", Value::from(identity.ecid())),
        ("UniqueDeviceID", text(&identity.udid)),
        ("UseRaptorCerts", Value::Boolean(true)),
        ("Uses24HourClock", Value::Boolean(true)),
        ("WiFiAddress", text(&identity.wifi_address())),
    ])
}

fn backup(persona: &Persona, now: Timestamp) -> Dictionary {
    let mut values = of([("Version", text("2.0"))]);
    let mut put = |key: &str, value: Value| values.insert(key.to_owned(), value);
    if !persona.icloud.absent {
        put("CloudBackupEnabled", Value::Boolean(persona.icloud.enabled));
    }
    if let Some(last) = persona
        .icloud
        .last
        .as_ref()
        .filter(|_| !persona.icloud.never)
    {
        put("LastCloudBackupDate", last.value(now));
        if let Some(tz) = &persona.icloud.tz {
            put("LastCloudBackupTZ", text(tz));
        }
    }
    if let Some(last) = &persona.local.last {
        put("LastiTunesBackupDate", last.value(now));
        put(
            "LastiTunesBackupTZ",
            text(persona.local.tz.as_deref().unwrap_or("GMT")),
        );
    }
    let has_password = persona.backup.password.as_ref().map(|_| true);
    if let Some(will_encrypt) = persona.local.will_encrypt.or(has_password) {
        put("WillEncrypt", Value::Boolean(will_encrypt));
    }
    match persona.local.requires_encryption {
        Some(RequiresEncryption::Flag(flag)) => {
            put("RequiresEncryption", Value::Boolean(flag));
        }
        Some(RequiresEncryption::Number(number)) => {
            put("RequiresEncryption", Value::from(number));
        }
        None => {}
    }
    values
}

fn disk(persona: &Persona) -> Dictionary {
    let disk = &persona.disk;
    of([
        ("AmountDataAvailable", Value::from(disk.data_available)),
        ("AmountDataReserved", Value::from(200_000_000_u64)),
        ("AmountRestoreAvailable", Value::from(disk.data_available)),
        (
            "TotalDataAvailable",
            Value::from(disk.data_available.saturating_add(200_000_000)),
        ),
        ("TotalDataCapacity", Value::from(disk.data_total)),
        ("TotalDiskCapacity", Value::from(disk.total)),
        ("TotalSystemAvailable", Value::from(0)),
        (
            "TotalSystemCapacity",
            Value::from(disk.total.saturating_sub(disk.data_total)),
        ),
    ])
}

fn battery(persona: &Persona) -> Dictionary {
    let battery = &persona.battery;
    of([
        (
            "BatteryCurrentCapacity",
            Value::from(u64::from(battery.percent)),
        ),
        ("BatteryIsCharging", Value::Boolean(battery.charging)),
        ("ExternalChargeCapable", Value::Boolean(battery.charging)),
        ("ExternalConnected", Value::Boolean(battery.charging)),
        ("FullyCharged", Value::Boolean(battery.percent >= 100)),
        ("GasGaugeCapability", Value::Boolean(true)),
        ("HasBattery", Value::Boolean(true)),
    ])
}

fn wireless(persona: &Persona) -> Dictionary {
    let mac = persona.identity.wifi_address();
    of([
        (
            "BonjourFullServiceName",
            text(&format!("{mac}@fe80::1._apple-mobdev2._tcp.local.")),
        ),
        ("EnableWifiConnections", Value::Boolean(true)),
        ("EnableWifiDebugging", Value::Boolean(false)),
        ("SupportsWifi", Value::Boolean(true)),
        ("SupportsWifiSyncing", Value::Boolean(true)),
    ])
}

fn setup(persona: &Persona) -> Dictionary {
    match persona.setup {
        Setup::Done => of([
            ("SetupDone", Value::Boolean(true)),
            ("SetupFinishedAllSteps", Value::Boolean(true)),
            ("SetupState", text("SetupUsingAssistant")),
        ]),
        Setup::InProgress => of([("SetupDone", Value::Boolean(false))]),
        Setup::Restoring => of([
            ("RestoreState", text("BackgroundRestoringFromiCloudBackup")),
            ("SetupDone", Value::Boolean(true)),
            ("SetupState", text("RestoredFromiCloudBackup")),
        ]),
    }
}

fn itunes() -> Dictionary {
    of([
        ("DBVersion", text("6")),
        ("LibraryApplications", Value::Array(Vec::new())),
        ("SyncedApplications", Value::Array(Vec::new())),
        ("iTunesStoreDomain", text("ITSDOMAIN-FAKE")),
    ])
}

fn mobile_itunes() -> Dictionary {
    of([
        ("MinITunesVersion", text("12.10.1")),
        ("MinMacOSVersion", text("10.15.0")),
        ("iTunesSetupComplete", Value::Boolean(true)),
    ])
}

fn data_sync() -> Dictionary {
    let nothing = || {
        of([
            ("AccountNames", Value::Array(Vec::new())),
            ("Sources", Value::Array(Vec::new())),
        ])
    };
    of([
        ("Bookmarks", Value::Dictionary(nothing())),
        ("Calendars", Value::Dictionary(nothing())),
        ("Contacts", Value::Dictionary(nothing())),
        ("Notes", Value::Dictionary(nothing())),
    ])
}

fn international() -> Dictionary {
    of([
        ("Keyboard", text("en_US")),
        ("Language", text("en")),
        ("Locale", text("en_US")),
    ])
}

fn chaperone() -> Dictionary {
    of([("DeviceIsChaperoned", Value::Boolean(false))])
}
