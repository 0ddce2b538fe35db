//! What one contact with a device told us. No judgement lives here: see `verdict`.

use crate::time::{DeviceTime, HostTime};
use crate::udid::Udid;
use serde::{Deserialize, Serialize};

/// Why a question to the device has no answer. Each has another remedy, so none is folded into another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// This computer is not trusted by the device.
    NotTrusted,
    /// The device is locked, and this needs it unlocked.
    Locked,
    /// The device has restarted and has not been unlocked since.
    NeverUnlocked,
    /// The device refuses to tell (`GetProhibited`).
    Prohibited,
    /// The device says that there is no such value (`MissingValue`, or the key was absent from its domain).
    Missing,
    /// There was a value, but not one that the rules accept.
    Unreadable {
        /// What it was, shortened.
        raw: String,
    },
    /// The connection ended before the answer: no reading at all.
    LinkLost,
}

/// A value that the device told, or why it did not.
pub type Reading<T> = Result<T, NoAnswer>;

/// How a device is connected. The order is the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// By cable.
    Usb,
    /// Over Wi-Fi.
    Network,
}

/// Whether the device lets this computer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Paired.
    Trusted,
    /// Not paired, and not asked yet.
    NotTrusted,
    /// The question is on the device's screen.
    DialogPending,
    /// The person tapped *Don't Trust*.
    Denied,
    /// The question cannot be shown while the device is locked.
    LockedForPairing,
    /// The organisation that manages the device forbids pairing.
    ManagedForbids,
    /// Pairing was tried over Wi-Fi; it needs a cable.
    CableNeeded,
    /// Paired once, but the device has forgotten it.
    Expired,
}

/// Charge and power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Battery {
    /// 0 to 100.
    pub percent: u8,
    /// On a charger or a powered port.
    pub on_power: bool,
}

/// The device's data volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Size of the volume.
    pub total: u64,
    /// What is left of it.
    pub free: u64,
}

/// How far the device is with its own set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setup {
    /// In normal use.
    Done,
    /// Setup Assistant is not finished.
    InProgress,
    /// A restore is running, in the foreground or in the background.
    Restoring,
}

/// Everything that one contact told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Whose facts.
    pub udid: Udid,
    /// When they were read, by this computer's clock.
    pub seen_at: HostTime,
    /// How the device was connected then; the link that was used comes first.
    pub links: Vec<LinkKind>,
    /// Whether it lets us in.
    pub trust: Trust,
    /// The name that its owner gave it.
    pub name: Reading<String>,
    /// `ProductType`, such as `iPhone15,3`.
    pub model: Reading<String>,
    /// `iPhone`, `iPad` or `iPod`.
    pub device_class: Reading<String>,
    /// `ProductVersion`, such as `26.1`.
    pub os_version: Reading<String>,
    /// `BuildVersion`; a final small letter marks a beta.
    pub build: Reading<String>,
    /// The device's own clock at `seen_at`.
    pub device_clock: Reading<DeviceTime>,
    /// Locked with a passcode at this moment.
    pub locked: Reading<bool>,
    /// The iCloud Backup switch.
    pub cloud_enabled: Reading<bool>,
    /// When the newest iCloud backup ended.
    pub cloud_last: Reading<DeviceTime>,
    /// When the newest backup to *any* computer ended.
    pub local_last: Reading<DeviceTime>,
    /// Local backups of this device are encrypted.
    pub will_encrypt: Reading<bool>,
    /// Its management insists on that.
    pub requires_encryption: Reading<bool>,
    /// Charge.
    pub battery: Reading<Battery>,
    /// Room on the device.
    pub disk: Reading<Disk>,
    /// Set-up state.
    pub setup: Reading<Setup>,
    /// Find My is on, so somebody is signed in.
    pub find_my: Reading<bool>,
    /// Managed by an organisation, so that a second account may exist which lockdown does not show.
    #[serde(default = "not_asked")]
    pub managed: Reading<bool>,
}

fn not_asked() -> Reading<bool> {
    Err(NoAnswer::Missing)
}

impl Facts {
    /// Facts of a contact that answered nothing but `why`: the beginning that a probe fills in.
    pub fn unanswered(
        udid: Udid,
        seen_at: HostTime,
        links: Vec<LinkKind>,
        trust: Trust,
        why: &NoAnswer,
    ) -> Self {
        Self {
            udid,
            seen_at,
            links,
            trust,
            name: Err(why.clone()),
            model: Err(why.clone()),
            device_class: Err(why.clone()),
            os_version: Err(why.clone()),
            build: Err(why.clone()),
            device_clock: Err(why.clone()),
            locked: Err(why.clone()),
            cloud_enabled: Err(why.clone()),
            cloud_last: Err(why.clone()),
            local_last: Err(why.clone()),
            will_encrypt: Err(why.clone()),
            requires_encryption: Err(why.clone()),
            battery: Err(why.clone()),
            disk: Err(why.clone()),
            setup: Err(why.clone()),
            find_my: Err(why.clone()),
            managed: Err(why.clone()),
        }
    }
}
