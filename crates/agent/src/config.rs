//! The configuration file: TOML, every key known, every mistake with its line. Thresholds are `core::Policy`; what is
//! configured beside them (paths, the address of usbmuxd, the log) is here. Where the file lies is `paths`' business.
//!
//! A key that is misspelt would silently watch with the wrong threshold, so unknown keys are errors, at every depth.

mod alone;
mod backend;
mod parse;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use backupwatch_core::{Policies, Policy, Udid};
use backupwatch_device::Backend;
use serde::{Deserialize, Serialize};

use crate::outside::http::{Plain, Url, UrlError};
use crate::outside::settings::{Hooks, Ping, Webhook};
use crate::paths::{Base, Moved};

pub use alone::Alone;
pub use sources::{Managed, Sources};

/// A file longer than this is not a configuration.
const FILE_MAX: u64 = 1 << 20;

/// Everything that can be configured, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Thresholds and cadences, in general and for single devices.
    pub policies: Policies,
    /// What the person calls a device.
    pub nicknames: BTreeMap<Udid, String>,
    /// Who outside is told that a single device is looked after.
    pub pings: BTreeMap<Udid, Url>,
    /// Where single devices are backed up to, each a whole path.
    pub roots: BTreeMap<Udid, PathBuf>,
    /// What is not a threshold.
    pub own: Own,
    /// What of all this the person has not set, but somebody who looks after this computer.
    pub managed: Option<Managed>,
}

/// The keys of the agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Own {
    /// Have an item in the menu bar, or in the panel of a desktop that has none.
    pub menu_bar: bool,
    /// Keys that stand in `[backup]` beside the policy's.
    pub backup: BackupOwn,
    /// Keys that stand in `[device]` beside the devices themselves.
    pub device: DeviceOwn,
    /// Keys that stand in `[notify]` beside the policy's.
    pub notify: NotifyOwn,
    /// Where things are.
    pub paths: PathsOwn,
    /// How phones are reached.
    pub usbmuxd: UsbmuxdOwn,
    /// What is logged.
    pub log: LogOwn,
    /// The page for people.
    pub page: PageOwn,
    /// What monitoring is told.
    pub metrics: MetricsOwn,
    /// Who outside notices when this computer falls silent.
    pub ping: Ping,
    /// Who outside is told what happens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhook: Vec<Webhook>,
    /// Programs of the person's own.
    pub hooks: Hooks,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            menu_bar: true,
            backup: BackupOwn::default(),
            device: DeviceOwn::default(),
            notify: NotifyOwn::default(),
            paths: PathsOwn::default(),
            usbmuxd: UsbmuxdOwn::default(),
            log: LogOwn::default(),
            page: PageOwn::default(),
            metrics: MetricsOwn::default(),
            ping: Ping::default(),
            webhook: Vec::new(),
            hooks: Hooks::default(),
        }
    }
}

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupOwn {
    /// The root of all backups; any folder or disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
}

/// How devices are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceOwn {
    /// What speaks to them. `BACKUPWATCH_BACKEND` wins over it.
    #[serde(with = "backend")]
    pub backend: Backend,
}

/// Whether notices are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyOwn {
    /// Show notices on this computer's desktop. They are in the history either way.
    pub desktop: bool,
}

impl Default for NotifyOwn {
    fn default() -> Self {
        Self { desktop: true }
    }
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PathsOwn {
    /// The state folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
    /// The folder of log files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<PathBuf>,
    /// The socket of the local API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// How phones are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsbmuxdOwn {
    /// In the spellings of `USBMUXD_SOCKET_ADDRESS`, which wins over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOwn {
    /// In the words of `Targets`, for example `"info,backupwatch_device=debug"`.
    pub filter: String,
}

impl Default for LogOwn {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}

/// The page for people, on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageOwn {
    /// Serve it.
    pub enabled: bool,
    /// Where; another free port is taken if this one cannot be had. 0 is any free one.
    pub port: u16,
}

impl Default for PageOwn {
    fn default() -> Self {
        Self {
            enabled: true,
            port: 4877,
        }
    }
}

/// What monitoring is told, and on which ways. Nothing, unless a person says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsOwn {
    /// Call devices by their names, too, and this computer by its own.
    pub names: bool,
    /// Where a Prometheus may fetch them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The file with the token that it has to show; needed unless it is on this computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The file for node_exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub textfile: Option<PathBuf>,
    /// The address of an OpenTelemetry receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
    /// The file with the token that is shown there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_token_file: Option<PathBuf>,
}

impl MetricsOwn {
    /// The key that contradicts the others, and how.
    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        if self.listen.is_some_and(|at| !at.ip().is_loopback()) && self.token_file.is_none() {
            return Some((
                "metrics.listen",
                "reaches beyond this computer, so it needs `token_file`, a file with a secret that nobody else can read",
            ));
        }
        let ends_in_prom = |file: &PathBuf| file.extension().is_some_and(|end| end == "prom");
        if !self.textfile.as_ref().is_none_or(ends_in_prom) {
            return Some((
                "metrics.textfile",
                "must end in `.prom`, or node_exporter does not read it",
            ));
        }
        let plain = match self.otlp_token_file {
            Some(_) => Plain::Loopback,
            None => Plain::Anywhere,
        };
        match self.otlp.as_deref().map(|url| Url::parse(url, plain)) {
            None | Some(Ok(_)) => None,
            Some(Err(UrlError::Plain)) => Some((
                "metrics.otlp",
                "must begin with https://, because a token is sent there",
            )),
            Some(Err(UrlError::Malformed | UrlError::Scheme | UrlError::User)) => Some((
                "metrics.otlp",
                "is not an address such as https://host:4318/v1/metrics",
            )),
        }
    }

    /// With `~` as the home folder of this person.
    pub fn at_home(self, base: &Base) -> Self {
        let expand = |path: Option<PathBuf>| path.map(|path| base.expand(&path));
        Self {
            token_file: expand(self.token_file),
            textfile: expand(self.textfile),
            otlp_token_file: expand(self.otlp_token_file),
            ..self
        }
    }
}

/// What is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line and column, both from 1, where the mistake has a place.
    pub place: Option<(usize, usize)>,
    /// One sentence.
    pub message: String,
    /// The line itself.
    pub excerpt: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, ": `{}`", excerpt.trim()),
            None => Ok(()),
        }
    }
}

/// Why there is no configuration. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not only root may have written what holds for everybody.
    #[error(
        "trust the managed configuration {path}: users other than root may change {what}; `sudo chown root` and `sudo chmod go-w` help"
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// It, or a folder above it.
        what: PathBuf,
    },
    /// It cannot be read.
    #[error("read the configuration {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something that it must not.
    #[error("understand the configuration {path}, {mistake}")]
    Mistake {
        /// The file.
        path: PathBuf,
        /// What.
        mistake: Box<Mistake>,
    },
}

impl Config {
    /// The file's configuration. A missing file is the default configuration, unless the person named it.
    pub fn load(path: &Path, named: bool) -> Result<Self, ConfigError> {
        let Some(text) = text(path, named)? else {
            return Ok(Self::default());
        };
        Self::parse(&text).map_err(|mistake| ConfigError::Mistake {
            path: path.to_owned(),
            mistake: Box::new(mistake),
        })
    }

    /// The configuration that `text` is.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        parse::parse(text)
    }

    /// The effective configuration as a file: what is read back from it is the same configuration, but for addresses outside, of
    /// which only the host is shown.
    pub fn show(&self) -> Result<String, toml::ser::Error> {
        let mut whole = toml::Table::try_from(&self.policies.general)?;
        for (section, keys) in toml::Table::try_from(&self.own)? {
            match (whole.get_mut(&section), keys) {
                (Some(toml::Value::Table(known)), toml::Value::Table(keys)) => known.extend(keys),
                (_, keys) => drop(whole.insert(section, keys)),
            }
        }
        let mut devices = match whole.remove("device") {
            Some(toml::Value::Table(keys)) => keys,
            Some(_) | None => toml::Table::new(),
        };
        let general = toml::Table::try_from(&self.policies.general)?;
        let single = self.policies.devices.keys().chain(self.nicknames.keys());
        let single = single.chain(self.pings.keys());
        for udid in single.chain(self.roots.keys()) {
            let mut device = toml::Table::new();
            if let Some(url) = self.pings.get(udid) {
                device.insert("ping".to_owned(), toml::Value::String(url.to_string()));
            }
            if let Some(name) = self.nicknames.get(udid) {
                device.insert("name".to_owned(), toml::Value::String(name.clone()));
            }
            if let Some(policy) = self.policies.devices.get(udid) {
                device.extend(difference(&general, toml::Table::try_from(policy)?));
            }
            if let Some(root) = self.roots.get(udid) {
                let backup = device
                    .entry("backup")
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let toml::Value::Table(backup) = backup {
                    backup.insert("root".to_owned(), toml::Value::try_from(root)?);
                }
            }
            devices.insert(udid.to_string(), toml::Value::Table(device));
        }
        if !devices.is_empty() {
            whole.insert("device".to_owned(), toml::Value::Table(devices));
        }
        whole.retain(|_, section| section.as_table().is_none_or(|keys| !keys.is_empty()));
        toml::to_string(&whole)
    }

    /// What the file moves; the command line is laid over it by the caller.
    pub fn moved(&self) -> Moved {
        Moved {
            config: None,
            state: self.own.paths.state.clone(),
            backups: self.own.backup.root.clone(),
            logs: self.own.paths.logs.clone(),
            socket: self.own.paths.socket.clone(),
        }
    }

    /// What holds for a device.
    pub fn policy(&self, udid: &Udid) -> &Policy {
        self.policies.of(udid)
    }
}

/// What stands in the file; nothing where it is missing, unless the person named it.
fn text(path: &Path, named: bool) -> Result<Option<String>, ConfigError> {
    let fail = |source| ConfigError::Io {
        path: path.to_owned(),
        source,
    };
    let mistake = |message: String| ConfigError::Mistake {
        path: path.to_owned(),
        mistake: Box::new(Mistake::plain(message)),
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
        let most = FILE_MAX >> 10;
        return Err(mistake(format!("it is longer than {most} KiB")));
    }
    let text = String::from_utf8(bytes).map_err(|_| mistake("it is not UTF-8 text".to_owned()))?;
    Ok(Some(text))
}

impl Mistake {
    fn plain(message: String) -> Self {
        Self {
            place: None,
            message,
            excerpt: None,
        }
    }
}

/// The keys of `special` that differ from `general`, table by table.
fn difference(general: &toml::Table, special: toml::Table) -> toml::Table {
    let mut out = toml::Table::new();
    for (key, value) in special {
        match (general.get(&key), value) {
            (Some(toml::Value::Table(general)), toml::Value::Table(special)) => {
                let inner = difference(general, special);
                if !inner.is_empty() {
                    out.insert(key, toml::Value::Table(inner));
                }
            }
            (Some(general), value) if *general == value => {}
            (_, value) => drop(out.insert(key, value)),
        }
    }
    out
}

#[cfg(test)]
mod tests;
