//! Info.plist, the one file of a backup that the host writes: what Finder's list, forensic readers and libimobiledevice's
//! tools expect in it (protocol.md 9.6, platform-macos.md 6). Its date is written after success only, so here it means what
//! it says.
//!
//! It holds a phone number and an IMEI, as everybody's Info.plist does; they go from the phone into this file and nowhere else.

use std::collections::BTreeMap;
use std::io;

use backupwatch_core::{HostTime, Udid};
use backupwatch_wire::codec;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::port::About;
use crate::services::afc::{Afc, AfcError};
use crate::services::apps::ICON;
use crate::verify::MAX_PLIST as MAX;

/// Version of iTunes that is claimed where the phone does not name its least one.
const ITUNES_VERSION: &str = "10.0.1";

/// Files of the phone's media folder that go into "iTunes Files".
const ITUNES_FOLDER: &str = "/iTunes_Control/iTunes";
const ITUNES_FILES: [&str; 11] = [
    "ApertureAlbumPrefs",
    "IC-Info.sidb",
    "IC-Info.sidv",
    "PhotosFolderAlbums",
    "PhotosFolderName",
    "PhotosFolderPrefs",
    "VoiceMemos.plist",
    "iPhotoAlbumPrefs",
    "iTunesApplicationIDs",
    "iTunesPrefs",
    "iTunesPrefs.plist",
];
const IBOOKS_FILE: &str = "/Books/iBooksData2.plist";

/// Longest of those files; they are preferences.
const MAX_FILE: usize = 256 << 10;

/// Longest text: the names that people give are the longest honest ones.
const MAX_TEXT: usize = 1024;

/// What is read of the phone beside lockdown's values.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) apps: Vec<Dictionary>,
    pub(crate) itunes_files: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) ibooks: Option<Vec<u8>>,
}

impl Extras {
    /// Reads the files. A phone without them is the usual case.
    pub(crate) async fn read_files<S>(&mut self, afc: &mut Afc<S>) -> Result<(), AfcError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.ibooks = afc.read_file(IBOOKS_FILE, MAX_FILE).await?;
        for name in ITUNES_FILES {
            if let Some(content) = afc
                .read_file(&format!("{ITUNES_FOLDER}/{name}"), MAX_FILE)
                .await?
            {
                self.itunes_files.insert(name, content);
            }
        }
        Ok(())
    }
}

/// The bytes of Info.plist. `guid` is the one of the backup before, if there was one. Where what the phone told would make it
/// longer than readers of a backup take, and our own check, it is written without what is not needed.
pub(crate) fn compose(
    udid: &Udid,
    about: &About,
    extras: &Extras,
    guid: Option<String>,
    now: HostTime,
) -> io::Result<Vec<u8>> {
    let guid = match guid.filter(|guid| guid.len() <= MAX_TEXT) {
        Some(guid) => guid,
        None => new_guid()?,
    };
    let whole = write(udid, about, extras, guid.clone(), now);
    if whole.len() <= MAX {
        return Ok(whole);
    }
    let bare = About {
        root: about.root.clone(),
        ..About::default()
    };
    Ok(write(udid, &bare, &Extras::default(), guid, now))
}

fn write(udid: &Udid, about: &About, extras: &Extras, guid: String, now: HostTime) -> Vec<u8> {
    let mut info = Dictionary::new();
    let mut put = |key: &str, value: Value| {
        info.insert(key.to_owned(), value);
    };
    for (key, source) in [
        ("Build Version", "BuildVersion"),
        ("Device Name", "DeviceName"),
        ("Display Name", "DeviceName"),
        ("ICCID", "IntegratedCircuitCardIdentity"),
        ("IMEI", "InternationalMobileEquipmentIdentity"),
        ("IMEI 2", "InternationalMobileEquipmentIdentity2"),
        ("MEID", "MobileEquipmentIdentifier"),
        ("Phone Number", "PhoneNumber"),
        ("Product Name", "ProductName"),
        ("Product Type", "ProductType"),
        ("Product Version", "ProductVersion"),
        ("Serial Number", "SerialNumber"),
    ] {
        if let Some(text) = about
            .root
            .get(source)
            .and_then(Value::as_string)
            .filter(|text| !text.is_empty() && text.len() <= MAX_TEXT)
        {
            put(key, text.into());
        }
    }
    put("GUID", guid.into());
    put(
        "Last Backup Date",
        Value::Date(std::time::SystemTime::from(now.0).into()),
    );
    put("Target Identifier", udid.as_str().into());
    put("Target Type", "Device".into());
    put(
        "Unique Identifier",
        udid.as_str().to_ascii_uppercase().into(),
    );
    put("iTunes Settings", Value::Dictionary(about.itunes.clone()));
    let version = about
        .mobile_itunes
        .get("MinITunesVersion")
        .and_then(Value::as_string);
    put("iTunes Version", version.unwrap_or(ITUNES_VERSION).into());
    let files = extras
        .itunes_files
        .iter()
        .map(|(name, content)| ((*name).to_owned(), Value::Data(content.clone())));
    put("iTunes Files", Value::Dictionary(files.collect()));
    if let Some(ibooks) = &extras.ibooks {
        put("iBooks Data 2", Value::Data(ibooks.clone()));
    }
    let (installed, applications) = apps(&extras.apps);
    put("Installed Applications", Value::Array(installed));
    put("Applications", Value::Dictionary(applications));
    codec::to_xml(&Value::Dictionary(info))
}

/// The GUID of an Info.plist that is there already.
pub(crate) fn guid_in(info: &[u8]) -> Option<String> {
    let info = codec::decode(info, codec::Limits::of_bytes(info.len())).ok()?;
    Some(info.as_dictionary()?.get("GUID")?.as_string()?.to_owned())
}

/// All bundle identifiers, and for those from the store what a restore needs to fetch them again.
fn apps(apps: &[Dictionary]) -> (Vec<Value>, Dictionary) {
    let mut installed = Vec::new();
    let mut applications = Dictionary::new();
    for app in apps {
        let Some(id) = app.get("CFBundleIdentifier").and_then(Value::as_string) else {
            continue;
        };
        installed.push(id.into());
        if let (Some(sinf), Some(metadata)) =
            (app.get("ApplicationSINF"), app.get("iTunesMetadata"))
        {
            let mut entry = Dictionary::new();
            entry.insert("ApplicationSINF".to_owned(), sinf.clone());
            entry.insert("iTunesMetadata".to_owned(), metadata.clone());
            if let Some(icon) = app.get(ICON) {
                entry.insert(ICON.to_owned(), icon.clone());
            }
            applications.insert(id.to_owned(), Value::Dictionary(entry));
        }
    }
    (installed, applications)
}

fn new_guid() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(entries: &[(&str, &str)]) -> Dictionary {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect()
    }

    fn info() -> Dictionary {
        let udid = Udid::parse("00008110-000a1b2c3d4e5f60").unwrap();
        let about = About {
            root: dictionary(&[
                ("DeviceName", "Ana’s iPhone 📱"),
                ("ProductType", "iPhone15,2"),
                ("PhoneNumber", "+0"),
                ("SerialNumber", ""),
            ]),
            ..About::default()
        };
        let store_app = dictionary(&[
            ("CFBundleIdentifier", "a"),
            ("ApplicationSINF", "s"),
            ("iTunesMetadata", "m"),
        ]);
        let own_app = dictionary(&[("CFBundleIdentifier", "b")]);
        let extras = Extras {
            apps: vec![store_app, own_app, Dictionary::new()],
            ..Extras::default()
        };
        let now = HostTime("2026-11-22T18:00:00Z".parse().unwrap());
        let bytes = compose(&udid, &about, &extras, None, now).unwrap();
        Value::from_reader(io::Cursor::new(bytes))
            .unwrap()
            .into_dictionary()
            .unwrap()
    }

    #[test]
    fn checklist_40_info_plist_has_the_keys_that_readers_expect() {
        let info = info();
        for (key, value) in [
            ("Device Name", "Ana’s iPhone 📱"),
            ("Display Name", "Ana’s iPhone 📱"),
            ("Product Type", "iPhone15,2"),
            ("Phone Number", "+0"),
            ("Target Identifier", "00008110-000a1b2c3d4e5f60"),
            ("Target Type", "Device"),
            ("Unique Identifier", "00008110-000A1B2C3D4E5F60"),
            ("iTunes Version", "10.0.1"),
        ] {
            assert_eq!(
                info.get(key).and_then(Value::as_string),
                Some(value),
                "{key}"
            );
        }
        assert_eq!(
            info["Last Backup Date"].as_date().unwrap().to_xml_format(),
            "2026-11-22T18:00:00Z"
        );
        assert_eq!(info["GUID"].as_string().unwrap().len(), 32);
        assert_eq!(info["Installed Applications"].as_array().unwrap().len(), 2);
        assert_eq!(info["Applications"].as_dictionary().unwrap().len(), 1);
        assert!(info["iTunes Settings"].as_dictionary().unwrap().is_empty());
        assert!(
            info.get("Serial Number").is_none(),
            "an empty value is none"
        );
    }

    /// What is too long for its readers would make a good backup one that is not whole.
    #[test]
    fn it_stays_readable_whatever_the_phone_tells() {
        let udid = Udid::parse("00008110-000a1b2c3d4e5f60").unwrap();
        let now = HostTime(jiff::Timestamp::UNIX_EPOCH);
        let long = "x".repeat(2 << 20);
        let settings = (0..6).map(|number| (number.to_string(), Value::from(long.as_str())));
        let about = About {
            root: dictionary(&[("DeviceName", &long), ("ProductType", "iPhone15,2")]),
            itunes: settings.collect(),
            ..About::default()
        };
        let bytes = compose(&udid, &about, &Extras::default(), Some(long), now).unwrap();
        assert!(bytes.len() < MAX);
        let info = Value::from_reader(io::Cursor::new(bytes)).unwrap();
        let info = info.into_dictionary().unwrap();
        assert_eq!(info["Product Type"].as_string(), Some("iPhone15,2"));
        assert_eq!(info["GUID"].as_string().unwrap().len(), 32);
    }

    #[test]
    fn the_guid_of_a_backup_stays() {
        let bytes = codec::to_xml(&Value::Dictionary(dictionary(&[("GUID", "ABC")])));
        assert_eq!(guid_in(&bytes), Some("ABC".to_owned()));
        assert_eq!(guid_in(b"rubbish"), None);
    }
}
