//! Keeps this computer from falling asleep by itself while a backup runs. It still sleeps when its lid is closed or its battery
//! is empty, and on macOS when a person says so.
//!
//! Not here: that it slept all the same. [`crate::clock::Drift`] sees that, and the desktop tells it.

#[cfg(target_os = "linux")]
mod logind;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the system may take to say yes or no. The phone is not kept waiting for it any longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What lists of power management say about it.
#[cfg(target_os = "linux")]
const WHO: &str = "backupwatch";
/// The same, in words.
const WHY: &str = "A backup of an iPhone or iPad is running";

/// The computer's readiness to sleep.
#[derive(Debug, Clone)]
pub struct Power {
    how: How,
    /// That it cannot be kept awake is worth one line, not one a backup.
    said: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
enum How {
    Ask,
    LeaveAlone,
    #[cfg(test)]
    Lend(std::sync::Weak<()>),
}

impl Power {
    /// Of the computer that this runs on.
    pub fn of_this_computer() -> Self {
        Self::new(How::Ask)
    }

    /// Of no computer: for tests, whose backups keep nobody awake.
    pub fn left_alone() -> Self {
        Self::new(How::LeaveAlone)
    }

    /// Of no computer either, but whoever holds it awake has a clone of this.
    #[cfg(test)]
    pub(crate) fn lending(held: &Arc<()>) -> Self {
        Self::new(How::Lend(Arc::downgrade(held)))
    }

    fn new(how: How) -> Self {
        Self {
            how,
            said: Arc::default(),
        }
    }

    /// Keeps the computer awake until what is returned is dropped. A system that refuses is said in the log, and no reason not
    /// to make a backup.
    pub async fn hold(&self) -> Option<Awake> {
        match &self.how {
            How::LeaveAlone => None,
            #[cfg(test)]
            How::Lend(held) => held.upgrade().map(Awake::while_lives),
            How::Ask => {
                let asked = tokio::time::timeout(PATIENCE, platform::hold()).await;
                let why = match asked {
                    Ok(Ok(held)) => {
                        tracing::debug!("the computer stays awake");
                        return Some(Awake::while_lives(held));
                    }
                    Ok(Err(why)) => why,
                    Err(_) => format!("no answer in {} s", PATIENCE.as_secs()),
                };
                if !self.said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(why, "the computer may fall asleep during a backup");
                }
                None
            }
        }
    }
}

/// The computer does not fall asleep by itself as long as this lives.
pub struct Awake {
    _held: Box<dyn Any + Send>,
}

impl Awake {
    fn while_lives(held: impl Any + Send) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for Awake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awake").finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
use logind as platform;

#[cfg(target_os = "macos")]
mod platform {
    //! An assertion of this process, which ends with it. `pmset -g assertions` lists it.

    #[expect(
        clippy::unused_async,
        reason = "on Linux there is somebody to wait for"
    )]
    pub(super) async fn hold() -> Result<keepawake::KeepAwake, String> {
        keepawake::Builder::default()
            .idle(true)
            .reason(super::WHY)
            .create()
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_left_alone_is_not_asked() {
        let power = Power::left_alone();
        assert!(power.hold().await.is_none());
        assert!(!power.said.load(Ordering::Relaxed), "and nothing is wrong");
    }
}
