//! The codes with which a phone ends an operation (`MBErrorDomain`), what kind of failure each is, and words for people.
//!
//! Not here: what to do about them, which is policy. The words never name the next step, only what happened.

use crate::devicelink::StatusCode;

/// A failure that the phone reports. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MbError(i64);

/// Kinds of failure, as different as what a host does about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MbClass {
    /// Somebody or something cancelled it.
    Cancelled,
    /// The phone was locked, or its passcode was not entered.
    Passcode,
    /// No room on the computer.
    NoSpace,
    /// The backup on the computer is damaged or incomplete: going on with it cannot work.
    CorruptBackup,
    /// The computer could not read or write a file that the phone needed.
    HostFiles,
    /// Wrong, missing or required backup password.
    Password,
    /// Forbidden by a management profile.
    Management,
    /// Set-up or a restore is not finished on the phone.
    NotReady,
    /// Something is busy; later it may work.
    Busy,
    /// The phone could not work with its own files.
    DeviceFiles,
    /// The phone does not take a backup of this version.
    Version,
    /// About iCloud; not expected of a local backup.
    Cloud,
    /// Find My is on.
    FindMy,
    /// The phone failed, and the code says no more.
    Unspecific,
    /// A code that nobody has described.
    Unknown,
}

impl MbError {
    /// Generic failure; also "no common version".
    pub const GENERIC: Self = Self(1);
    pub const MULTIPLE: Self = Self(2);
    pub const EXISTS: Self = Self(3);
    pub const NOT_FOUND: Self = Self(4);
    pub const MALFORMED: Self = Self(11);
    pub const MANAGED: Self = Self(22);
    pub const RESTORE_RUNNING: Self = Self(25);
    pub const IO: Self = Self(100);
    pub const HOST_READ: Self = Self(103);
    pub const UPLOAD: Self = Self(104);
    pub const NO_SPACE: Self = Self(105);
    pub const CANCELLED: Self = Self(202);
    pub const UNSUPPORTED_VERSION: Self = Self(203);
    pub const CORRUPT: Self = Self(205);
    pub const PASSWORD: Self = Self(207);
    pub const LOCKED: Self = Self(208);
    pub const SETUP: Self = Self(212);

    /// The failure with this code; `None` for 0.
    #[must_use]
    pub const fn new(code: i64) -> Option<Self> {
        if code == 0 { None } else { Some(Self(code)) }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> i64 {
        self.0
    }

    /// What the phone makes of a status that a host gave it for a whole message; `None` for success. What it makes of -2 is
    /// not known; here it is generic.
    #[must_use]
    pub const fn of_status(status: StatusCode) -> Option<Self> {
        Some(match status {
            StatusCode::Ok => return None,
            StatusCode::Generic | StatusCode::Unimplemented => Self::GENERIC,
            StatusCode::NotFound => Self::NOT_FOUND,
            StatusCode::Exists => Self::EXISTS,
            StatusCode::NotADirectory => Self(5),
            StatusCode::IsADirectory => Self(6),
            StatusCode::SymlinkLoop => Self(7),
            StatusCode::Multi => Self::MULTIPLE,
            StatusCode::NoSpace => Self::NO_SPACE,
            StatusCode::BadParameter
            | StatusCode::WrongSide
            | StatusCode::Io
            | StatusCode::Disconnected
            | StatusCode::Other(_) => Self::IO,
        })
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn class(self) -> MbClass {
        self.entry().0
    }

    /// What happened: a lower-case fragment that follows "the phone says: ".
    #[must_use]
    pub const fn words(self) -> &'static str {
        self.entry().1
    }

    const fn entry(self) -> (MbClass, &'static str) {
        use MbClass as C;
        match self.0 {
            1 => (C::Unspecific, "something in it failed"),
            2 => (C::Unspecific, "several things failed"),
            3 => (
                C::DeviceFiles,
                "the snapshot of an earlier attempt is still there",
            ),
            4 => (C::DeviceFiles, "a file is missing"),
            5..=7 => (C::DeviceFiles, "a file is not what it should be"),
            8 => (C::DeviceFiles, "a file lacks an attribute"),
            9 => (C::DeviceFiles, "a file changed while it was read"),
            11 => (C::CorruptBackup, "data in the backup is malformed"),
            13 => (C::Busy, "something that it needs is locked"),
            14 => (C::Busy, "something that it needs is busy"),
            17 | 304 => (C::Busy, "it is to be tried again later"),
            22 => (C::Management, "its management profile forbids this"),
            24 => (C::DeviceFiles, "a file could not be opened"),
            25 => (C::NotReady, "a restore from iCloud is not finished"),
            26 => (C::DeviceFiles, "a file is on another volume"),
            100 => (C::DeviceFiles, "reading or writing failed"),
            101 => (
                C::DeviceFiles,
                "its snapshot's list of files cannot be opened",
            ),
            102 => (C::DeviceFiles, "its snapshot could not be handled"),
            103 => (C::HostFiles, "the computer could not read the backup"),
            104 => (C::HostFiles, "files could not be transferred"),
            105 => (C::NoSpace, "there is not enough space for the backup"),
            202 | 217..=224 => (C::Cancelled, "it was cancelled"),
            203 => (C::Version, "it does not know this version of the backup"),
            205 => (
                C::CorruptBackup,
                "the backup on the computer is damaged or incomplete",
            ),
            207 => (
                C::Password,
                "the backup password is wrong, or one is required",
            ),
            208 => (
                C::Passcode,
                "it was locked, or its passcode was not entered",
            ),
            210 => (C::Cloud, "there is no iCloud account"),
            211 => (C::FindMy, "Find My is on"),
            212 => (C::NotReady, "its set-up is not finished"),
            303 => (C::Cloud, "the iCloud storage is full"),
            300..=307 => (C::Cloud, "iCloud did not answer as expected"),
            _ => (C::Unknown, "something unknown failed"),
        }
    }
}

impl std::fmt::Display for MbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (code {})", self.words(), self.0)
    }
}

impl std::error::Error for MbError {}
