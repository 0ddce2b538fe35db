//! `device set` and `device unset`: what holds for one device alone, written into the configuration as a careful person would do it.
//! Comments and all other lines stay, and a file that would be wrong is not written.

use crate::{
    choice,
    cli::{DeviceCommand, SetDevice, UnsetDevice},
    failure::Failure,
    reach,
    setup::Setup,
    terminal::{Terminal, Tone},
};
use backupwatch_agent::{
    api::words::SCHEMA,
    clock::SystemClock,
    config::{Config, Managed},
    exit::ExitCode,
    places,
};
use backupwatch_backup::{Clock as _, Store};
use backupwatch_core::Udid;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf, absolute},
};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// The key under which the configuration has the moment.
const MUTED: &str = "muted_since";
/// What the person calls a device.
const NAME: &str = "name";
/// Where it is backed up to.
const ROOT: &str = "backup.root";

/// As JSON, schema 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    schema: u32,
    /// The UDID.
    device: String,
    /// The configuration file.
    file: PathBuf,
    /// Each key that holds for this device alone, and its value as it is written in the file.
    own: BTreeMap<String, String>,
    /// Whether an agent goes by it already; without one it holds from the next start.
    in_force: bool,
    /// Why the running agent does not go by it.
    why: Option<String>,
    /// What becomes of the backups that are there already; absent where its place stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<String>,
    /// What of `own` does not hold, because whoever looks after this computer has set it otherwise; absent where all of it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    overridden: Option<String>,
}

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    command: &DeviceCommand,
) -> Result<ExitCode, Failure> {
    let asked = match command {
        DeviceCommand::Set(SetDevice { device, .. })
        | DeviceCommand::Unset(UnsetDevice { device, .. }) => device,
    };
    let udid = which(setup, asked).await?;
    let file = &setup.paths.config;
    let before = read(file)?;
    let mut text: DocumentMut = before
        .parse()
        .map_err(|error| Failure::from_error(ExitCode::Usage, "config", &error))?;
    match command {
        DeviceCommand::Set(wanted) => set(&mut text, &udid, wanted)?,
        DeviceCommand::Unset(wanted) => unset(&mut text, &udid, wanted)?,
    }
    let after = text.to_string();
    Config::parse(&after).map_err(|mistake| {
        wrong(&mistake)
            .next("The user guide has all keys; `backupwatch config show` shows what holds.")
    })?;
    let config = setup.sources.with(&after).map_err(|error| wrong(&error))?;
    let roots = [setup.root_of(&udid), its_root(setup, &config, &udid)];
    let moved = if roots[0] == roots[1] {
        None
    } else {
        fits(setup, &config, &udid)?;
        Some(moved(&udid, roots[0], roots[1]))
    };
    if after != before {
        write(file, &after).map_err(|error| {
            let message = format!("failed to write {}: {error}", file.display());
            Failure::new(ExitCode::Usage, "config", message)
        })?;
    }
    let (in_force, why) = match reach::agent(setup).await? {
        None => (false, None),
        Some(client) => match client.reload().await {
            Ok(_) => (true, None),
            Err(error) => (false, Some(reach::refused_by_agent(&error).message)),
        },
    };
    let own = own(&text, &udid);
    let document = Document {
        schema: SCHEMA,
        device: udid.to_string(),
        file: file.clone(),
        overridden: overridden(&own, config.managed.as_ref(), &udid),
        own,
        in_force,
        why,
        moved,
    };
    if command.json() {
        super::json(terminal, &document)?;
    } else {
        terminal.data(&words(terminal, &document))?;
    }
    Ok(ExitCode::Ok)
}

/// A device that is known; or one that is named whole, which may come later.
async fn which(setup: &Setup, asked: &str) -> Result<Udid, Failure> {
    let known = super::status::known(setup).await?;
    match choice::device(&known.devices, Some(asked)) {
        Ok(device) => choice::udid(device),
        Err(failure) => asked.parse().map_err(|_| failure),
    }
}

fn wrong(why: &dyn std::fmt::Display) -> Failure {
    let message = format!("nothing was written, because it would be wrong: {why}");
    Failure::new(ExitCode::Usage, "config", message)
}

/// Where the device is backed up to by this configuration.
fn its_root<'a>(setup: &'a Setup, config: &'a Config, udid: &Udid) -> &'a Path {
    let own = config.roots.get(udid);
    own.map_or(setup.paths.backups.as_path(), PathBuf::as_path)
}

/// Refuses a root that lies in a store or around one, by whatever links it is reached. A phone's folder and a store within it would
/// be counted and removed together.
fn fits(setup: &Setup, config: &Config, udid: &Udid) -> Result<(), Failure> {
    let choose = |failure: Failure| failure.next("Choose a folder that lies beside it.");
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let roots = config.roots.iter();
    let real_roots = roots
        .map(|(udid, root)| (udid.clone(), real(root)))
        .collect();
    let shared = &setup.paths.backups;
    let entangled = places::entangled(shared, &config.roots)
        .or_else(|| places::entangled(&real(shared), &real_roots));
    if let Some((_, why)) = entangled {
        return Err(choose(wrong(&why)));
    }
    let root = its_root(setup, config, udid);
    let real_root = real_roots.get(udid).map_or(root, PathBuf::as_path);
    let above = real_root.ancestors().skip(1);
    match above.into_iter().find(|folder| Store::open(folder).is_ok()) {
        Some(store) => {
            let (root, store) = (root.display(), store.display());
            let why = format!("{root} lies inside {store}, where other backups are");
            Err(choose(wrong(&why)))
        }
        None => Ok(()),
    }
}

/// What a person should know of the backups that are there already.
fn moved(udid: &Udid, from: &Path, to: &Path) -> String {
    let old = from.join(udid.as_str());
    let (from, to) = (from.display(), to.display());
    let begin = format!("From now on it is backed up to {to}.");
    if !old.exists() {
        return begin;
    }
    let old = old.display();
    format!(
        "{begin} Its backups so far stay in {from}, untouched, and do not count any more: run `backupwatch backup {udid}` to make the \
         first one in the new place, and remove {old} yourself when you do not need it any more."
    )
}

fn read(file: &Path) -> Result<String, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => {
            let message = format!("failed to read {}: {error}", file.display());
            Err(Failure::new(ExitCode::Usage, "config", message))
        }
    }
}

/// The file is the old one or the new one, whole, at any moment.
fn write(file: &Path, text: &str) -> io::Result<()> {
    // A link stays one: dotfiles are often kept elsewhere.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    if let Ok(old) = fs::metadata(&file) {
        beside.as_file().set_permissions(old.permissions())?;
    }
    beside.as_file().sync_all()?;
    beside.persist(&file).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

fn set(text: &mut DocumentMut, udid: &Udid, wanted: &SetDevice) -> Result<(), Failure> {
    let table = table_of(text, udid)?;
    if let Some(name) = &wanted.name {
        put(table, NAME, name.trim().into())?;
    }
    // Who mutes twice has muted since the first time.
    if wanted.mute && !table.contains_key(MUTED) {
        put(table, MUTED, SystemClock.now().0.to_string().into())?;
    }
    if let Some(root) = &wanted.root {
        let root = absolute(root).map_err(|error| wrong(&error))?;
        let Some(root) = root.to_str() else {
            return Err(wrong(&"the folder’s name is not UTF-8 text"));
        };
        put(table, ROOT, root.into())?;
    }
    for (key, value) in &wanted.keys {
        // What is no value of TOML is text, so that nobody has to quote for two readers.
        let value = value
            .parse::<Value>()
            .unwrap_or_else(|_| value.as_str().into());
        put(table, key, value)?;
    }
    Ok(())
}

fn unset(text: &mut DocumentMut, udid: &Udid, wanted: &UnsetDevice) -> Result<(), Failure> {
    let own = own(text, udid);
    let Some(devices) = text.get_mut("device").and_then(Item::as_table_like_mut) else {
        return Err(not_set(wanted.keys.first().map_or(MUTED, String::as_str)));
    };
    let Some(name) = name_in(devices, udid) else {
        return Err(not_set(wanted.keys.first().map_or(MUTED, String::as_str)));
    };
    let Some(table) = devices.get_mut(&name).and_then(Item::as_table_like_mut) else {
        return Err(no_table(&name));
    };
    let flags = [
        (wanted.name, NAME),
        (wanted.mute, MUTED),
        (wanted.root, ROOT),
    ];
    let flags = flags.into_iter().filter(|(is_wanted, _)| *is_wanted);
    let keys = wanted.keys.iter().map(String::as_str);
    for key in flags.map(|(_, key)| key).chain(keys) {
        let below = format!("{key}.");
        if !own.keys().any(|one| one == key || one.starts_with(&below)) {
            return Err(not_set(key));
        }
        let parts: Vec<&str> = key.split('.').collect();
        take(table, &parts);
    }
    if table.is_empty() {
        devices.remove(&name);
    }
    Ok(())
}

/// The table of a device; made where there is none.
fn table_of<'t>(text: &'t mut DocumentMut, udid: &Udid) -> Result<&'t mut dyn TableLike, Failure> {
    let devices = text.entry("device").or_insert_with(|| {
        let mut devices = Table::new();
        // Only its tables are to be seen.
        devices.set_implicit(true);
        Item::Table(devices)
    });
    let Some(devices) = devices.as_table_like_mut() else {
        return Err(no_table("device"));
    };
    let name = name_in(devices, udid).unwrap_or_else(|| udid.to_string());
    let device = devices
        .entry(&name)
        .or_insert_with(|| Item::Table(Table::new()));
    device.as_table_like_mut().ok_or_else(|| no_table(&name))
}

/// How the file spells this device.
fn name_in(devices: &dyn TableLike, udid: &Udid) -> Option<String> {
    let mut names = devices.iter().map(|(name, _)| name);
    let name = names.find(|name| name.eq_ignore_ascii_case(udid.as_str()))?;
    Some(name.to_owned())
}

/// Lays the value at a dotted key; what stood beside the old one stays there.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value) -> Result<(), Failure> {
    let Some((section, rest)) = key.split_once('.') else {
        if let Some(old) = table.get(key).and_then(Item::as_value) {
            *value.decor_mut() = old.decor().clone();
        }
        table.insert(key, Item::Value(value));
        return Ok(());
    };
    let inner = table.entry(section).or_insert_with(|| {
        let mut inner = Table::new();
        inner.set_dotted(true);
        Item::Table(inner)
    });
    let inner = inner.as_table_like_mut().ok_or_else(|| no_table(section))?;
    put(inner, rest, value)
}

/// Takes out a dotted key, and the tables that are empty then.
fn take(table: &mut dyn TableLike, parts: &[&str]) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    if rest.is_empty() {
        table.remove(first);
        return;
    }
    if let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) {
        take(inner, rest);
        if inner.is_empty() {
            table.remove(first);
        }
    }
}

/// Every key of a device's own, dotted.
fn own(text: &DocumentMut, udid: &Udid) -> BTreeMap<String, String> {
    let mut own = BTreeMap::new();
    if let Some(devices) = text.get("device").and_then(Item::as_table_like)
        && let Some(name) = name_in(devices, udid)
        && let Some(table) = devices.get(&name).and_then(Item::as_table_like)
    {
        collect(table, "", &mut own);
    }
    own
}

fn collect(table: &dyn TableLike, above: &str, own: &mut BTreeMap<String, String>) {
    for (key, item) in table.iter() {
        let key = format!("{above}{key}");
        match item.as_table_like() {
            Some(inner) => collect(inner, &format!("{key}."), own),
            None => {
                let value = item.as_value().map(Value::to_string).unwrap_or_default();
                own.insert(key, value.trim().to_owned());
            }
        }
    }
}

/// Those of its keys above which somebody else's word holds, in a sentence.
fn overridden(
    own: &BTreeMap<String, String>,
    managed: Option<&Managed>,
    udid: &Udid,
) -> Option<String> {
    let managed = managed?;
    let keys: Vec<&str> = managed
        .of(udid)
        .filter(|key| own.contains_key(*key))
        .collect();
    let (keys, file) = (keys.join(", "), managed.file.display());
    (!keys.is_empty()).then(|| {
        format!(
            "Of this, {keys} does not hold: whoever looks after this computer has set it otherwise in {file}."
        )
    })
}

fn no_table(name: &str) -> Failure {
    Failure::new(
        ExitCode::Usage,
        "config",
        format!("`{name}` is no table in the configuration"),
    )
    .next("Correct it by hand; `backupwatch config check` says what is wrong.")
}

fn not_set(key: &str) -> Failure {
    let key = if key == MUTED { "mute" } else { key };
    Failure::new(
        ExitCode::Usage,
        "not_set",
        format!("`{key}` is not set for this device alone"),
    )
    .next("`backupwatch config show` shows what holds.")
}

fn words(terminal: Terminal, document: &Document) -> String {
    let mut lines = Vec::new();
    if document.own.is_empty() {
        lines.push("Nothing holds for this device alone any more.".to_owned());
    } else {
        lines.push("For this device alone:".to_owned());
    }
    lines.extend(document.own.iter().map(|(key, value)| {
        let label = format!("  {} ", Tone::Dim.set(&format!("{key:<22}")));
        terminal.wrapped(&label, value, 25)
    }));
    if let Some(moved) = &document.moved {
        lines.push(terminal.wrapped("", moved, 0));
    }
    if let Some(overridden) = &document.overridden {
        lines.push(Tone::Warning.set(&terminal.wrapped("", overridden, 0)));
    }
    lines.push(match (&document.why, document.in_force) {
        (Some(why), _) => {
            let line = format!("The running agent does not go by it yet: {why}.");
            Tone::Warning.set(&terminal.wrapped("", &line, 0))
        }
        (None, true) => "The agent goes by it from now on.".to_owned(),
        (None, false) => "No agent runs; it holds from the next start.".to_owned(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# The phones of the family.
[backup]
root = \"/Volumes/Safe\"  # the blue one

# Anna's, since spring
[device.00008110-000A1B2C3D4E001E]
name = \"Anna\" # her own word
icloud = { stale = \"6 d\" }

[page]
port = 4877
";

    fn udid(text: &str) -> Udid {
        text.parse().unwrap()
    }

    fn wanted(keys: &[(&str, &str)], name: Option<&str>) -> SetDevice {
        let keys = keys.iter();
        SetDevice {
            device: String::new(),
            name: name.map(str::to_owned),
            mute: false,
            root: None,
            keys: keys
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            json: false,
        }
    }

    /// Whatever is set, no other line changes, and what is written means what was said.
    #[test]
    fn what_is_set_stands_in_the_file_and_the_rest_stays() {
        let (anna, tom) = (
            udid("00008110-000A1B2C3D4E001E"),
            udid("00008110-000A1B2C3D4E002F"),
        );
        let mut text: DocumentMut = FILE.parse().unwrap();
        let keys = [
            ("icloud.stale", "5"),
            ("backup.mode", "off"),
            ("notify.repeat.first", "5 d"),
        ];
        set(&mut text, &anna, &wanted(&keys, Some("Anna’s old one"))).unwrap();
        set(
            &mut text,
            &tom,
            &wanted(&[("backup.min_battery", "50")], Some("Tom")),
        )
        .unwrap();
        insta::assert_snapshot!(text.to_string());
        let config = Config::parse(&text.to_string()).unwrap();
        assert_eq!(config.policy(&anna).icloud.stale.to_string(), "5 d");
        assert_eq!(config.policy(&anna).notify.repeat.first.to_string(), "5 d");
        assert_eq!(config.policy(&tom).backup.min_battery, 50);
        assert_eq!(config.nicknames.get(&tom).map(String::as_str), Some("Tom"));
    }

    #[test]
    fn what_is_taken_out_leaves_no_trace() {
        let anna = udid("00008110-000A1B2C3D4E001E");
        let mut text: DocumentMut = FILE.parse().unwrap();
        let keys = [("backup.mode", "off"), ("notify.repeat.first", "5 d")];
        set(&mut text, &anna, &wanted(&keys, None)).unwrap();
        let out = |keys: &[&str]| UnsetDevice {
            device: String::new(),
            name: false,
            mute: false,
            root: false,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            json: false,
        };
        unset(&mut text, &anna, &out(&["backup.mode", "notify"])).unwrap();
        assert_eq!(text.to_string(), FILE);
        let error = unset(&mut text, &anna, &out(&["backup.mode"])).unwrap_err();
        assert_eq!(error.error, "not_set");
        unset(&mut text, &anna, &out(&["icloud.stale", "name"])).unwrap();
        assert!(own(&text, &anna).is_empty());
        assert!(!text.to_string().contains("device"), "{text}");
    }

    /// Nobody's words become lines of their own.
    #[test]
    fn a_value_stays_a_value() {
        let tom = udid("00008110-000A1B2C3D4E002F");
        for (value, written) in [
            ("7", "7"),
            ("true", "true"),
            ("22:00-07:00", "\"22:00-07:00\""),
            (
                "a\"\n[page]\nport = 1",
                "\"\"\"\na\"\n[page]\nport = 1\"\"\"",
            ),
        ] {
            let mut text = DocumentMut::new();
            set(&mut text, &tom, &wanted(&[("x", value)], None)).unwrap();
            assert_eq!(own(&text, &tom).len(), 1, "{value}: {text}");
            assert_eq!(own(&text, &tom)["x"], written, "{value}");
            assert!(text.get("page").is_none(), "{value}: {text}");
        }
    }
}
