//! What a simulated phone is: one TOML file, read whole, unknown keys refused.
//!
//! This is data only. Nothing here speaks a protocol, holds a socket or reads a clock; `phone` turns a persona into a
//! living phone, and the services read their part of it there.

mod backup;
mod books;
mod contents;
mod faults;
mod identity;
mod link;
mod lockdown;
mod log;
mod passcode;
mod trust;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::contents::{Catalog, ContentsError};

pub use backup::Backup;
pub use books::{
    Absurd, Books, Cure, EndedBy, ErrorLink, Failure, PastAttempt, PastWindow, Restored, Upload,
};
pub use contents::Contents;
pub use faults::Faults;
pub use identity::{ClockSpec, Identity};
pub use link::{Answers, LinkKind, LinkSpec};
pub use lockdown::{App, LockdownFault, LockdownFaultKind, LockdownSpec, ServiceSsl, ServicesSpec};
pub use log::{LineRogue, LogSpec, TraceRogue};
pub use passcode::{BeforeFirstUnlock, Passcode, PromptAnswer};
pub use trust::{Dialog, PairingPolicy, TrustSpec};
pub(crate) use values::EPOCH_2001;
pub use values::{
    Battery, Disk, ICloud, LocalBackup, RequiresEncryption, Setup, Stamp, toml_to_plist,
};

/// One phone, as its file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    pub identity: Identity,
    #[serde(default)]
    pub clock: ClockSpec,
    /// How the phone hangs on the host; one cable when the file says nothing.
    #[serde(default = "link::one_cable")]
    pub link: Vec<LinkSpec>,
    #[serde(default)]
    pub trust: TrustSpec,
    #[serde(default)]
    pub passcode: Passcode,
    #[serde(default)]
    pub icloud: ICloud,
    /// What the backup domain says about local backups before the first one of this run.
    #[serde(default)]
    pub local: LocalBackup,
    #[serde(default)]
    pub battery: Battery,
    #[serde(default)]
    pub disk: Disk,
    #[serde(default)]
    pub setup: Setup,
    #[serde(default)]
    pub lockdown: LockdownSpec,
    #[serde(default)]
    pub services: ServicesSpec,
    /// Installed user applications, for installation_proxy and SpringBoard.
    #[serde(default)]
    pub app: Vec<App>,
    /// Small text files that AFC serves, by absolute path.
    #[serde(default)]
    pub afc: BTreeMap<String, String>,
    /// Lockdown values laid over the generated ones: domain → key → value; the root domain is spelt `root`.
    #[serde(default)]
    pub values: BTreeMap<String, toml::Table>,
    #[serde(default)]
    pub contents: Contents,
    #[serde(default)]
    pub backup: Backup,
    #[serde(default)]
    pub faults: Faults,
    /// What the phone has noted of its iCloud backups; without it there is nothing of the kind in its backups.
    pub books: Option<Books>,
    #[serde(default)]
    pub log: LogSpec,
}

impl Persona {
    /// Reads a persona from the text of its file.
    pub fn parse(text: &str) -> Result<Self, PersonaError> {
        let persona: Self = toml::from_str(text).map_err(PersonaError::Syntax)?;
        persona.check()?;
        Ok(persona)
    }

    /// Reads a persona file.
    pub fn load(path: &Path) -> Result<Self, PersonaError> {
        let text = std::fs::read_to_string(path).map_err(|source| PersonaError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|source| PersonaError::In {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Reads every `*.toml` of a directory, in the order of their names.
    pub fn load_dir(dir: &Path) -> Result<Vec<Self>, PersonaError> {
        let listing = |source| PersonaError::Read {
            path: dir.to_owned(),
            source,
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(listing)? {
            let path = entry.map_err(listing)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// A healthy, trusted phone on a cable; what tests start from when the details do not matter.
    #[must_use]
    pub fn plain(udid: &str, name: &str) -> Self {
        Self {
            identity: Identity::new(udid, name),
            clock: ClockSpec::default(),
            link: link::one_cable(),
            trust: TrustSpec::default(),
            passcode: Passcode::default(),
            icloud: ICloud::default(),
            local: LocalBackup::default(),
            battery: Battery::default(),
            disk: Disk::default(),
            setup: Setup::default(),
            lockdown: LockdownSpec::default(),
            services: ServicesSpec::default(),
            app: Vec::new(),
            afc: BTreeMap::new(),
            values: BTreeMap::new(),
            contents: Contents::default(),
            backup: Backup::default(),
            faults: Faults::default(),
            books: None,
            log: LogSpec::default(),
        }
    }

    fn check(&self) -> Result<(), PersonaError> {
        if !identity::is_udid(&self.identity.udid) {
            return Err(PersonaError::Udid {
                udid: self.identity.udid.clone(),
            });
        }
        Catalog::new(&self.contents).map_err(PersonaError::Contents)?;
        let broken = !matches!(self.icloud.cure, Cure::None | Cure::Conditions);
        if broken && self.icloud.failure.chain.is_empty() {
            return Err(PersonaError::NoFailure);
        }
        Ok(())
    }
}

/// Why a persona could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PersonaError {
    #[error("read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("understand the persona")]
    Syntax(#[source] toml::de::Error),
    #[error("{udid:?} is no UDID: 40 hex digits, or 8 and 16 with a hyphen between")]
    Udid { udid: String },
    #[error("make the phone's contents")]
    Contents(#[source] ContentsError),
    #[error("tell what goes wrong: a cure without a failure.chain")]
    NoFailure,
    #[error("load {path}")]
    In {
        path: PathBuf,
        #[source]
        source: Box<PersonaError>,
    },
}

#[cfg(test)]
mod tests;
