//! Where the configuration is read from, so that it can be read again.

use std::path::PathBuf;

use super::{Config, ConfigError};
use crate::paths::Base;

/// See the module.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The person's file.
    pub file: PathBuf,
    /// Whether the person named it, so that it has to be there.
    pub named: bool,
    /// The folders of the person.
    pub base: Base,
}

impl Sources {
    /// What holds now.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(&self.file, self.named)?;
        config.own.metrics = config.own.metrics.at_home(&self.base);
        Ok(config)
    }
}
