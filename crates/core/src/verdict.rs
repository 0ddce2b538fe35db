//! What a device's evidence means: iCloud's state, the safety net, one word for the person, why, and what next.
//!
//! Only values are here; `judge` makes them. A verdict always says as of when its evidence was read.

use crate::time::{DeviceTime, HostTime};
use serde::{Deserialize, Serialize};

/// How deep a copy was checked on this disk. Each level includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// The protocol ended well and no file was refused.
    L0,
    /// Status, plists and the manifest are there, and of this run.
    L1,
    /// Every row of the manifest has its file with the right size.
    L2,
    /// The password opens the keybag and the manifest.
    L3,
    /// File contents were read again.
    L4,
}

/// The newest verified copy in our own store, as the store describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCopy {
    /// How deep it was checked.
    pub level: Level,
    /// When it was made.
    pub at: HostTime,
    /// Protected by a password.
    pub encrypted: bool,
    /// Size on disk.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
}

/// A later look at the whole of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// How deep.
    pub level: Level,
    /// When it ended.
    pub at: HostTime,
    /// How many things were wrong; zero is good news.
    pub damaged: u64,
}

impl Check {
    /// Whether the copy is not what it was.
    pub fn found_damage(&self) -> bool {
        self.damaged > 0
    }
}

/// Why iCloud's state is not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum UnknownWhy {
    /// The device has never answered.
    NeverAsked,
    /// The evidence is too old to say anything about today.
    NotSeen {
        /// The last contact.
        since: HostTime,
    },
    /// This computer is not trusted.
    NotTrusted,
    /// Locked.
    Locked,
    /// Restarted and not unlocked since.
    NeverUnlocked,
    /// The device refuses to tell.
    Prohibited,
    /// The device does not say whether iCloud Backup is on.
    NoSwitch,
    /// On, but no date can be read. This is not "never".
    NoDate,
    /// A date that breaks the rules.
    Unreadable {
        /// What it was.
        raw: String,
    },
    /// The connection ended before the first answer.
    LinkLost,
    /// A restore or Setup Assistant is running.
    SettingUp,
    /// The device's clock and ours differ by more than a day, so a young date proves nothing.
    ClockWrong,
}

/// The state of the iCloud backup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudState {
    /// Younger than 2 days.
    Fresh,
    /// Younger than 4 days.
    Late,
    /// Younger than 14 days.
    Stale,
    /// Younger than 30 days.
    Alarm,
    /// 30 days or older.
    Critical,
    /// Switched off.
    Off,
    /// On, and known to have made none since it was switched on or since the device was set up.
    NoneYet,
    /// Not known.
    Unknown(UnknownWhy),
}

impl CloudState {
    /// The stable code of this state for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Late => "late",
            Self::Stale => "stale",
            Self::Alarm => "alarm",
            Self::Critical => "critical",
            Self::Off => "off",
            Self::NoneYet => "none_yet",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Something a reader of the date should know beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The clocks differ by more than ten minutes; the age is by the device's own.
    ClockSkewed,
    /// The clocks differ by more than a day.
    ClockWrong,
    /// The date lies ahead of the device's clock.
    DateAhead,
    /// The date is older than the device's restore and says nothing about it.
    BeforeRestore,
    /// A beta of iOS: known to misreport.
    BetaOs,
    /// Managed by an organisation: only the main account is visible here.
    MainAccountOnly,
    /// The first upload is under way and growing.
    Uploading,
}

/// iCloud's state with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudVerdict {
    /// The state.
    pub state: CloudState,
    /// The switch, when it was readable.
    pub enabled: Option<bool>,
    /// The last date known; history only while `state` is `Off` or `Unknown`.
    pub last: Option<DeviceTime>,
    /// Seconds from `last` to the device's own clock at `as_of`.
    pub age_s: Option<i64>,
    /// Caveats.
    pub flags: Vec<Flag>,
    /// How urgent this is for a person.
    pub concern: Concern,
}

/// How urgent a verdict is. The order is that of urgency; each step up is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// Nothing to tell.
    None,
    /// Shown, not told.
    Watch,
    /// One quiet notice.
    Stale,
    /// A notice, repeated.
    Warn,
    /// A notice that may break through.
    Alarm,
    /// The same daily.
    Critical,
}

/// What stands in when iCloud fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SafetyNet {
    /// A copy of ours that was checked on this disk.
    Verified {
        /// How deep.
        level: Level,
        /// When it was made.
        at: HostTime,
        /// How old it is.
        age_s: i64,
        /// When it was checked, if that was after it was made.
        #[serde(default)]
        checked: Option<HostTime>,
    },
    /// A copy of ours of which a part is not what it was when it was made.
    Damaged {
        /// When it was made.
        at: HostTime,
        /// How old it is.
        age_s: i64,
        /// When that was found.
        found: HostTime,
        /// How many things are wrong.
        damaged: u64,
    },
    /// A copy of ours that cannot be vouched for now.
    Unverified {
        /// When it was made.
        at: HostTime,
        /// How old it is.
        age_s: i64,
        /// The disk with the backups is not connected.
        medium_missing: bool,
    },
    /// The device says that another computer made one; nobody here has checked it.
    Elsewhere {
        /// When, by the device's clock.
        at: DeviceTime,
        /// How old it is.
        age_s: i64,
    },
    /// None that we know of.
    None,
}

/// The one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// A recent copy exists where it should.
    Protected,
    /// Something fails, and a recent copy exists elsewhere; or it fails only since days.
    AtRisk,
    /// If the device were lost now, much would be lost.
    Unprotected,
    /// Nobody can say.
    Unknown,
}

impl Protection {
    /// The stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::AtRisk => "at_risk",
            Self::Unprotected => "unprotected",
            Self::Unknown => "unknown",
        }
    }

    /// Who needs somebody comes first. What is known to be bad is worse than what is not known.
    pub fn turn(self) -> u8 {
        match self {
            Self::Unprotected => 0,
            Self::AtRisk => 1,
            Self::Unknown => 2,
            Self::Protected => 3,
        }
    }
}

/// The one next step, as a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextCode {
    /// Nothing to do.
    Nothing,
    /// Give the phone a night on power and Wi-Fi.
    Wait,
    /// Connect the device.
    Connect,
    /// Connect it anew: it is there and does not answer.
    Reconnect,
    /// Tap Trust on the device.
    Trust,
    /// Unlock the device.
    Unlock,
    /// Make a local backup.
    BackUpNow,
    /// Follow the steps that repair iCloud Backup.
    ShowSteps,
    /// Switch iCloud Backup on, or say that local backups are enough.
    SwitchOn,
    /// Correct the clock.
    FixClock,
    /// Connect the disk with the backups.
    ConnectStore,
    /// Ask whoever manages the device.
    AskAdministrator,
    /// Enter the passcode that the device is asking for.
    EnterPasscode,
    /// Leave the device connected until its backup is done.
    KeepConnected,
}

impl NextCode {
    /// The stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Wait => "wait",
            Self::Connect => "connect",
            Self::Reconnect => "reconnect",
            Self::Trust => "trust",
            Self::Unlock => "unlock",
            Self::BackUpNow => "back_up_now",
            Self::ShowSteps => "show_steps",
            Self::SwitchOn => "switch_on",
            Self::FixClock => "fix_clock",
            Self::ConnectStore => "connect_store",
            Self::AskAdministrator => "ask_administrator",
            Self::EnterPasscode => "enter_passcode",
            Self::KeepConnected => "keep_connected",
        }
    }
}

/// The one next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// For machines.
    pub code: NextCode,
    /// For the person; empty when there is nothing to do.
    pub words: String,
}

/// The judgement of one device at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When its evidence was read; none when the device has never been in contact.
    pub as_of: Option<HostTime>,
    /// iCloud.
    pub cloud: CloudVerdict,
    /// The local copy.
    pub net: SafetyNet,
    /// The one word.
    pub protection: Protection,
    /// One sentence why.
    pub reason: String,
    /// The one next step.
    pub next: NextStep,
}
