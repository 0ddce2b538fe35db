//! What libimobiledevice's errors are among ours. It folds many things into one number, so this says the least of them.

use std::io;

use backupwatch_imobiledevice::{Error, IdeviceError, LockdownError as Theirs};
use backupwatch_wire::lockdown::LockdownError as Ours;

use crate::error::DeviceError;

/// A word of the phone's that the library does not know, and does not tell.
pub(crate) fn unknown_word(request: &'static str) -> DeviceError {
    DeviceError::Refused {
        request: request.to_owned(),
        error: Ours::Other("something that libimobiledevice does not know".to_owned()),
    }
}

/// What `error` means that came instead of the answer to `request`.
pub(crate) fn as_ours(error: Error, request: &'static str) -> DeviceError {
    if let Error::Lockdown(theirs) = error
        && let Some(error) = word(theirs)
    {
        return DeviceError::Refused {
            request: request.to_owned(),
            error,
        };
    }
    if matches!(error, Error::Idevice(IdeviceError::NoDevice)) {
        return DeviceError::NotAttached;
    }
    let no_record = matches!(
        error,
        Error::NoPairRecord | Error::OtherPairRecord | Error::Lockdown(Theirs::InvalidConf)
    );
    let unreadable = matches!(
        error,
        Error::TooLarge { .. }
            | Error::Unreadable(_)
            | Error::VersionUnknown
            | Error::Lockdown(Theirs::Plist | Theirs::Dict)
    );
    if no_record {
        DeviceError::NoPairRecord
    } else if unreadable {
        DeviceError::Unexpected {
            request: request.to_owned(),
        }
    } else {
        DeviceError::Link {
            doing: request,
            source: io::Error::other(error),
        }
    }
}

/// The word that the phone said, which the library has turned into a number.
fn word(theirs: Theirs) -> Option<Ours> {
    let words = [
        (Theirs::InvalidResponse, Ours::InvalidResponse),
        (Theirs::MissingKey, Ours::MissingKey),
        (Theirs::MissingValue, Ours::MissingValue),
        (Theirs::GetProhibited, Ours::GetProhibited),
        (Theirs::SetProhibited, Ours::SetProhibited),
        (Theirs::RemoveProhibited, Ours::RemoveProhibited),
        (Theirs::ImmutableValue, Ours::ImmutableValue),
        (Theirs::PasswordProtected, Ours::PasswordProtected),
        (Theirs::UserDeniedPairing, Ours::UserDeniedPairing),
        (
            Theirs::PairingDialogResponsePending,
            Ours::PairingDialogResponsePending,
        ),
        (Theirs::MissingHostId, Ours::MissingHostID),
        (Theirs::InvalidHostId, Ours::InvalidHostID),
        (Theirs::SessionActive, Ours::SessionActive),
        (Theirs::SessionInactive, Ours::SessionInactive),
        (Theirs::NoRunningSession, Ours::SessionInactive),
        (Theirs::MissingSessionId, Ours::MissingSessionID),
        (Theirs::InvalidSessionId, Ours::InvalidSessionID),
        (Theirs::MissingService, Ours::MissingService),
        (Theirs::InvalidService, Ours::InvalidService),
        (Theirs::ServiceLimit, Ours::ServiceLimit),
        (Theirs::MissingPairRecord, Ours::MissingPairRecord),
        (Theirs::SavePairRecordFailed, Ours::SavePairRecordFailed),
        (Theirs::InvalidPairRecord, Ours::InvalidPairRecord),
        (
            Theirs::InvalidActivationRecord,
            Ours::InvalidActivationRecord,
        ),
        (
            Theirs::MissingActivationRecord,
            Ours::MissingActivationRecord,
        ),
        (Theirs::ServiceProhibited, Ours::ServiceProhibited),
        (Theirs::EscrowLocked, Ours::EscrowLocked),
        (
            Theirs::PairingProhibitedOverThisConnection,
            Ours::PairingProhibitedOverThisConnection,
        ),
        (Theirs::FmipProtected, Ours::FMiPProtected),
        (Theirs::McProtected, Ours::MCProtected),
        (Theirs::McChallengeRequired, Ours::MCChallengeRequired),
    ];
    let mut words = words.into_iter();
    words
        .find(|(known, _)| *known == theirs)
        .map(|(_, word)| word)
}
