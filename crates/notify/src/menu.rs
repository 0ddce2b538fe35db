//! The item in the menu bar: what it shows, and what a person can choose there. Pure data; how it gets onto the screen is the
//! platform's.
//!
//! Not here: where the words come from (the agent's status document).

use backupwatch_core::{Protection, Udid, notice::Action};

/// All that the item shows, for one moment. Two equal ones look the same, so only a changed one is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// The worst verdict of all devices; absent while no device is known.
    pub worst: Option<Protection>,
    /// Why nothing here can be believed, in one sentence: usbmuxd does not answer, say.
    pub trouble: Option<String>,
    /// One entry a device, in the order in which it is shown: the worst first.
    pub devices: Vec<MenuDevice>,
}

/// One device in the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuDevice {
    /// Which.
    pub udid: Udid,
    /// Nickname or name. From the phone: text, never markup.
    pub name: String,
    /// The verdict.
    pub protection: Protection,
    /// One sentence why.
    pub reason: String,
    /// A running backup, as `Backing up: 42 %, 1.2 GB`.
    pub progress: Option<String>,
    /// What can be chosen for it now, in order.
    pub actions: Vec<Action>,
}

/// What a person chose in the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Something of a device.
    Device(Udid, Action),
    /// The page.
    Open,
    /// End the agent until the next login.
    Quit,
}

/// The item on the screen. Living implementations: the menu bar of macOS, and StatusNotifierItem on Linux.
pub trait MenuBar: Send + Sync {
    /// Shows this in place of what was there. Returns at once.
    fn show(&self, menu: &Menu);

    /// Why there is no item, in words for the person; `None` when all is well.
    fn trouble(&self) -> Option<String>;
}
