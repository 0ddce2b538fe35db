//! What holds for this call: the configuration, the places, the address of usbmuxd.

use crate::{cli::Global, failure::Failure};
use backupwatch_agent::{
    config::{Config, Sources},
    exit::ExitCode,
    medium::Origin,
    paths::{Base, Moved, Paths},
    places,
};
use backupwatch_core::Udid;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub struct Setup {
    pub config: Config,
    /// Where it was read.
    pub sources: Sources,
    pub paths: Paths,
    /// The folders of the person.
    pub base: Base,
}

impl Setup {
    /// The root of this device.
    pub fn root_of(&self, udid: &Udid) -> &Path {
        let own = self.config.roots.get(udid);
        own.map_or(self.paths.backups.as_path(), PathBuf::as_path)
    }

    /// Every root once, the one that devices share first.
    pub fn roots(&self) -> Vec<PathBuf> {
        let shared = self.paths.backups.as_path();
        let own = places::roots(&self.config.roots).into_iter();
        let own = own.filter(|root| *root != shared);
        std::iter::once(shared)
            .chain(own)
            .map(Path::to_owned)
            .collect()
    }

    /// Where the root of the backups came from.
    pub fn origin(&self) -> Origin {
        if self.config.own.backup.root.is_some() {
            Origin::Configured
        } else {
            Origin::OurOwn
        }
    }
}

/// The path of the configuration file, whether or not it is right.
pub fn config_path(global: &Global) -> Result<PathBuf, Failure> {
    Ok(base()?.config_file(global.config.as_deref()))
}

/// Reads the configuration and finds every place.
pub fn load(global: &Global) -> Result<Setup, Failure> {
    let (setup, wrong) = load_anyway(global)?;
    wrong.map_or(Ok(setup), Err)
}

/// The same for who looks for what is wrong: with the defaults where the configuration cannot be used, and why it cannot.
pub fn load_anyway(global: &Global) -> Result<(Setup, Option<Failure>), Failure> {
    let base = base()?;
    let file = base.config_file(global.config.as_deref());
    let sources = Sources {
        managed: Some(base.managed_config()),
        file: file.clone(),
        named: global.config.is_some(),
        base: base.clone(),
    };
    let (config, wrong) = match sources.load() {
        Ok(config) => (config, None),
        Err(error) => {
            let failure = Failure::from_error(ExitCode::Usage, "config", &error);
            (Config::default(), Some(failure))
        }
    };
    let in_file = config.moved();
    let moved = Moved {
        config: Some(file),
        state: global.state_dir.clone().or(in_file.state),
        ..in_file
    };
    let paths = Paths::resolve(&base, &moved);
    let mut config = config;
    let mut wrong = wrong;
    if let Some((udid, why)) = places::entangled(&paths.backups, &config.roots) {
        // With the configuration as it is its backups would go where they must not.
        config.roots.clear();
        let message = format!("`backup.root` of the device {udid} cannot be used: {why}");
        wrong.get_or_insert(Failure::new(ExitCode::Usage, "config", message));
    }
    let setup = Setup {
        config,
        sources,
        paths,
        base,
    };
    Ok((setup, wrong))
}

/// The home folder of the person.
pub fn home() -> Result<PathBuf, Failure> {
    Ok(base()?.home)
}

/// The folders of the person.
pub fn base() -> Result<Base, Failure> {
    Base::of_this_user().map_err(|error| Failure::from_error(ExitCode::Usage, "no_home", &error))
}
