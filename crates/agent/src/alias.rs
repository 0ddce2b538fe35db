//! What a device is called where its name and its UDID must not be known: in metrics, and whatever else leaves this computer. The
//! same for as long as this installation keeps its state, another one on each computer, and no way back without the state.

use std::fmt;

use crate::state::{State, StateError};

/// Under which the key is kept.
const KEPT: &str = "alias_key";
/// Hexadecimal digits of an alias: 64 bits, so that no two of some thousand devices meet.
const DIGITS: usize = 16;

/// Gives devices their aliases. Has no `Debug` of its key: who knows it can try UDIDs.
#[derive(Clone)]
pub struct Aliases([u8; 32]);

/// Why there are none. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum AliasError {
    /// No key could be made.
    #[error("make a key for the aliases of devices")]
    Random(#[source] getrandom::Error),
    /// It could not be read or kept.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Aliases {
    /// The ones of this installation. Their key is made once.
    pub fn made(state: &State) -> Result<Self, AliasError> {
        if let Some(aliases) = Self::kept(state)? {
            return Ok(aliases);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(AliasError::Random)?;
        state.keep(KEPT, blake3::Hash::from_bytes(key).to_hex().as_str())?;
        Ok(Self(key))
    }

    /// The ones of this installation, if an agent or a command has given any.
    pub fn kept(state: &State) -> Result<Option<Self>, StateError> {
        let kept = state.kept(KEPT)?;
        let key = kept.and_then(|key| blake3::Hash::from_hex(key).ok());
        Ok(key.map(|key| Self(*key.as_bytes())))
    }

    /// The alias of a device.
    pub fn of(&self, udid: &str) -> String {
        self.digits("device", udid)
    }

    /// The alias of this installation.
    pub fn installation(&self) -> String {
        self.digits("installation", "")
    }

    /// The alias of an address, under which the state keeps what belongs to it.
    pub fn place(&self, address: &str) -> String {
        self.digits("place", address)
    }

    fn digits(&self, sort: &str, what: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(sort.as_bytes()).update(&[0]);
        hasher.update(what.as_bytes());
        let hex = hasher.finalize().to_hex();
        hex.as_str().chars().take(DIGITS).collect()
    }
}

impl fmt::Debug for Aliases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aliases(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state;

    const UDID: &str = "00008110-000A1B2C3D4E5F60";

    #[test]
    fn an_alias_outlives_a_restart_and_is_another_one_elsewhere() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let aliases = |dir: &tempfile::TempDir| {
            let opened = state::open(&dir.path().join("state.db")).unwrap();
            Aliases::made(&opened.state).unwrap()
        };
        let alias = aliases(&here).of(UDID);
        assert_eq!(alias, aliases(&here).of(UDID), "after a restart");
        assert_eq!(alias.len(), DIGITS);
        assert!(!UDID.to_lowercase().contains(&alias[..4]), "{alias}");
        assert_ne!(alias, aliases(&there).of(UDID), "another computer");
        assert_ne!(alias, aliases(&here).of("00008110-000A1B2C3D4E5F61"));
        assert_ne!(aliases(&here).of(""), aliases(&here).installation());
        assert!(!format!("{:?}", aliases(&here)).contains(&alias[..4]));
    }

    #[test]
    fn a_key_that_nobody_can_read_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let state = state::open(&dir.path().join("state.db")).unwrap().state;
        assert!(Aliases::kept(&state).unwrap().is_none());
        state.keep(KEPT, "rubbish").unwrap();
        assert!(Aliases::kept(&state).unwrap().is_none());
        let alias = Aliases::made(&state).unwrap().of(UDID);
        assert_eq!(Aliases::kept(&state).unwrap().unwrap().of(UDID), alias);
    }
}
