//! The item in the menu bar: what it shows, and what a person can choose there. Pure data; how it gets onto the screen is the
//! platform's.
//!
//! Not here: where the words come from (the agent's status document).

mod glyph;
mod lines;
#[cfg(not(target_os = "macos"))]
mod linux;

use crate::FromDesktop;
use backupwatch_core::{Protection, Udid, notice::Action};
use std::sync::Arc;
use tokio::{runtime::Handle, sync::mpsc};

#[cfg(target_os = "macos")]
pub(crate) use self::{
    glyph::coverage,
    lines::{Line, lines, shown, summary},
};

/// All that the item shows, for one moment. Two equal ones look the same, so only a changed one is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// The worst verdict of all devices; absent while no device is known.
    pub worst: Option<Protection>,
    /// Why nothing here can be believed, in one sentence: usbmuxd does not answer, say.
    pub trouble: Option<String>,
    /// One entry a device, in the order in which it is shown: the worst first. A few; a menu is no list of hundreds.
    pub devices: Vec<MenuDevice>,
    /// Devices that have no entry.
    pub more: usize,
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

#[cfg(any(test, target_os = "macos"))]
impl Choice {
    /// As text, for toolkits whose menus know nothing else.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Device(udid, action) => format!("{}/{udid}", action.code()),
            Self::Open => "open".to_owned(),
            Self::Quit => "quit".to_owned(),
        }
    }

    /// What [`Self::code`] made a text of.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        const ACTIONS: [Action; 4] = [
            Action::BackUpNow,
            Action::ShowSteps,
            Action::Snooze,
            Action::LocalOnly,
        ];
        match code {
            "open" => Some(Self::Open),
            "quit" => Some(Self::Quit),
            other => {
                let (action, udid) = other.split_once('/')?;
                let action = ACTIONS.into_iter().find(|one| one.code() == action)?;
                Some(Self::Device(udid.parse().ok()?, action))
            }
        }
    }
}

/// The item on the screen. Living implementations: the menu bar of macOS, and StatusNotifierItem on Linux.
pub trait MenuBar: Send + Sync {
    /// Shows this in place of what was there. Returns at once.
    fn show(&self, menu: &Menu);

    /// Why there is no item, in words for the person; `None` when all is well.
    fn trouble(&self) -> Option<String>;
}

/// The item of this platform. What is chosen arrives on `choices`. It appears with the first [`MenuBar::show`].
#[must_use]
pub fn bar(runtime: &Handle, choices: mpsc::Sender<FromDesktop>) -> Arc<dyn MenuBar> {
    #[cfg(target_os = "macos")]
    {
        let _on_the_main_thread = runtime;
        Arc::new(crate::mac::menu::Bar::new(choices))
    }
    #[cfg(not(target_os = "macos"))]
    {
        Arc::new(linux::Bar::new(runtime, choices))
    }
}

/// Hands a choice to the agent. A full channel means that nobody is taking any; waiting would not change that.
pub(crate) fn choose(choices: &mpsc::Sender<FromDesktop>, choice: Choice) {
    if choices.try_send(FromDesktop::Menu(choice)).is_err() {
        tracing::warn!("a choice in the menu was lost: the agent is not taking any");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_survives_being_text() {
        let udid: Udid = "00008110-000A1B2C3D4E001E".parse().unwrap();
        let choices = [
            Choice::Open,
            Choice::Quit,
            Choice::Device(udid.clone(), Action::BackUpNow),
            Choice::Device(udid.clone(), Action::ShowSteps),
            Choice::Device(udid.clone(), Action::Snooze),
            Choice::Device(udid, Action::LocalOnly),
        ];
        for choice in choices {
            assert_eq!(Choice::of_code(&choice.code()), Some(choice));
        }
        for strange in [
            "",
            "/",
            "snooze",
            "snooze/",
            "snooze/../..",
            "back_up_now/x/open",
        ] {
            assert_eq!(Choice::of_code(strange), None, "{strange}");
        }
    }
}
