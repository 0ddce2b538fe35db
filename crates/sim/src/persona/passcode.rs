//! The lock screen, and what the owner does when the phone asks for the passcode (protocol.md 9.3).

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Passcode {
    /// A passcode is configured. Without one nothing locks and nothing is asked.
    pub set: bool,
    pub locked: bool,
    pub unlocked_since_boot: bool,
    pub before_first_unlock: BeforeFirstUnlock,
    pub answer: PromptAnswer,
    /// Seconds from the prompt to the answer.
    pub after_s: f64,
    /// Seconds after which the phone takes the prompt away: 30 min on iOS 26.1, about 3 on 16.1.
    pub timeout_s: f64,
}

impl Default for Passcode {
    fn default() -> Self {
        Self {
            set: true,
            locked: false,
            unlocked_since_boot: true,
            before_first_unlock: BeforeFirstUnlock::PasswordProtected,
            answer: PromptAnswer::Enter,
            after_s: 0.0,
            timeout_s: 1800.0,
        }
    }
}

/// What the owner does when asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum PromptAnswer {
    #[default]
    Enter,
    Cancel,
    /// Nothing, until a driver does something or the phone gives up.
    Wait,
}

/// What StartSession says between a boot and the first unlock, when the phone cannot read its own pair records. Both
/// refusals have been seen (USBMUXD#65, LIM#978); with the records in a weaker protection class a session works.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum BeforeFirstUnlock {
    #[default]
    PasswordProtected,
    InvalidHostId,
    Session,
}
