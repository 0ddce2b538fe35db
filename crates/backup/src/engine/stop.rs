//! Why a conversation with a phone ended before its time, and what that is for those who decide.

use std::io;
use std::time::Duration;

use backupwatch_core::Level;
use backupwatch_core::run::{CancelledBy, RunFailure};
use backupwatch_wire::mobilebackup2::{MbClass, Response};

use crate::port::OpenError;
use crate::services::sync_lock::LockError;
use crate::store::StoreError;

/// See the module.
#[derive(Debug)]
pub(super) enum Stop {
    Cancelled,
    CancelledOnPhone,
    Unplugged,
    NoPasscode,
    Silent(Duration),
    /// The phone said what nobody can understand.
    Protocol(String),
    /// The phone ended the operation with an error of its own.
    Refused(Response),
    Busy,
    Open(OpenError),
    Store(StoreError),
    /// This computer could not go on.
    Host(String),
    Internal(String),
}

impl Stop {
    /// What an error of the phone's stream means.
    pub(super) fn from_link(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            Self::Protocol(error.to_string())
        } else {
            // However it ends, with a reset, a broken pipe or an end without goodbye: the phone is gone.
            tracing::debug!(%error, "the link to the phone ended");
            Self::Unplugged
        }
    }

    /// Whether the work tree is no good for another attempt: the phone says so, or what it holds is not understood.
    pub(super) fn condemns(&self) -> bool {
        match self {
            Self::Refused(response) => {
                let class = response.error.map(|error| error.class());
                class == Some(MbClass::CorruptBackup) || class == Some(MbClass::Version)
            }
            Self::Cancelled
            | Self::CancelledOnPhone
            | Self::Unplugged
            | Self::NoPasscode
            | Self::Silent(_)
            | Self::Protocol(_)
            | Self::Busy
            | Self::Open(_)
            | Self::Store(_)
            | Self::Host(_)
            | Self::Internal(_) => false,
        }
    }

    /// Whether another attempt with the same tree may well end in the same way.
    pub(super) fn is_the_trees_or_the_phones(&self) -> bool {
        match self {
            Self::Refused(response) => {
                let class = response.error.map(|error| error.class());
                matches!(
                    class,
                    Some(
                        MbClass::DeviceFiles
                            | MbClass::HostFiles
                            | MbClass::Unspecific
                            | MbClass::Unknown
                    )
                )
            }
            Self::Protocol(_) | Self::Silent(_) => true,
            Self::Cancelled
            | Self::CancelledOnPhone
            | Self::Unplugged
            | Self::NoPasscode
            | Self::Busy
            | Self::Open(_)
            | Self::Store(_)
            | Self::Host(_)
            | Self::Internal(_) => false,
        }
    }

    pub(super) fn into_failure(self, seen: &Seen) -> RunFailure {
        match self {
            Self::Cancelled => RunFailure::Cancelled {
                by: CancelledBy::Person,
            },
            Self::CancelledOnPhone => RunFailure::Cancelled {
                by: CancelledBy::Phone,
            },
            Self::Unplugged => RunFailure::Unplugged,
            Self::NoPasscode => RunFailure::PasscodeTimeout,
            Self::Silent(limit) => RunFailure::Protocol(format!(
                "the phone said nothing for {} minutes",
                limit.as_secs() / 60
            )),
            Self::Protocol(what) => RunFailure::Protocol(what),
            Self::Refused(response) => refused(&response, seen),
            Self::Busy => RunFailure::Busy,
            Self::Open(e) => match e {
                OpenError::NotTrusted => RunFailure::NotTrusted,
                OpenError::Locked => RunFailure::DeviceLocked,
                OpenError::NeverUnlocked => RunFailure::NeverUnlocked,
                OpenError::LinkLost => RunFailure::Unplugged,
                OpenError::ServiceProhibited { .. } => RunFailure::Prohibited,
                OpenError::ServiceMissing { service } => RunFailure::ServiceMissing { service },
                e @ (OpenError::MuxDown(_) | OpenError::Other(_)) => {
                    RunFailure::Protocol(e.to_string())
                }
            },
            Self::Store(e) => of_store(e),
            Self::Host(what) => RunFailure::Io(what),
            Self::Internal(what) => RunFailure::Internal(what),
        }
    }
}

impl From<LockError> for Stop {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Busy,
            LockError::Refused(status) => {
                Self::Protocol(format!("the phone refused its sync lock ({status:?})"))
            }
            LockError::Io(e) => Self::from_link(e),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        if let StoreError::Stopped = error {
            Self::Cancelled
        } else {
            Self::Store(error)
        }
    }
}

/// What was seen on the way to a failure, and tells what its code means.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The phone has shown its passcode prompt.
    pub(super) prompt: bool,
    /// Bytes that the phone said must be free here, and that were.
    pub(super) space: Option<(u64, u64)>,
    /// The first thing that this computer could not write.
    pub(super) host_error: Option<String>,
    /// This computer failed for a reason of its own, that may be gone the next time: a full or sick disk, no more descriptors.
    pub(super) trouble: bool,
    /// Bytes free when a write failed for want of them.
    pub(super) disk_full: Option<u64>,
}

fn refused(response: &Response, seen: &Seen) -> RunFailure {
    let Some(error) = response.error else {
        return RunFailure::Protocol("the phone ended without a result".to_owned());
    };
    let own_words = || RunFailure::Device {
        code: error.code(),
        text: response
            .description
            .clone()
            .unwrap_or_else(|| error.words().to_owned()),
    };
    match error.class() {
        MbClass::Cancelled => RunFailure::Cancelled {
            by: CancelledBy::Phone,
        },
        MbClass::Passcode if response.is_passcode_timeout() => RunFailure::PasscodeTimeout,
        MbClass::Passcode if seen.prompt => RunFailure::PasscodeCancelled,
        MbClass::Passcode => RunFailure::DeviceLocked,
        MbClass::NoSpace => no_space(seen),
        MbClass::CorruptBackup => RunFailure::BackupCorrupt,
        MbClass::Password => RunFailure::EncryptionRequired,
        MbClass::NotReady => RunFailure::SettingUp,
        MbClass::HostFiles if seen.disk_full.is_some() => no_space(seen),
        MbClass::HostFiles => match &seen.host_error {
            Some(what) => RunFailure::Io(what.clone()),
            None => own_words(),
        },
        MbClass::Management => RunFailure::Prohibited,
        MbClass::Busy
        | MbClass::DeviceFiles
        | MbClass::Version
        | MbClass::Cloud
        | MbClass::FindMy
        | MbClass::Unspecific
        | MbClass::Unknown => own_words(),
    }
}

fn no_space(seen: &Seen) -> RunFailure {
    let (need, free) = seen.space.unwrap_or((0, 0));
    RunFailure::HostNoSpace {
        need,
        free: seen.disk_full.unwrap_or(free),
    }
}

pub(super) fn of_store(error: StoreError) -> RunFailure {
    match error {
        StoreError::RootMissing { .. }
        | StoreError::NotAFolder { .. }
        | StoreError::NotAStore { .. } => RunFailure::StoreMissing,
        StoreError::InUse { .. } => RunFailure::StoreInUse,
        StoreError::NoSpace { free, .. } => RunFailure::HostNoSpace { need: 0, free },
        e @ StoreError::BaseDamaged => RunFailure::Verification {
            level: Level::L4,
            missing: 0,
            detail: e.to_string(),
        },
        StoreError::Stopped => RunFailure::Cancelled {
            by: CancelledBy::Person,
        },
        e @ (StoreError::ReadOnly { .. }
        | StoreError::NotPermitted { .. }
        | StoreError::NoLinks { .. }
        | StoreError::NoVersion { .. }
        | StoreError::Needed { .. }
        | StoreError::BeingMade { .. }
        | StoreError::Damaged { .. }
        | StoreError::Io { .. }) => RunFailure::Io(e.to_string()),
    }
}
