//! Everything that can go wrong between us and a phone, and what each of it means: why a question has no answer
//! ([`DeviceError::no_answer`]), why a backup cannot begin ([`DeviceError::open_error`]), what it says about trust
//! ([`DeviceError::trust`]). Each mapping is made here, once.
//!
//! Not here: what to tell the person (`core`).

use std::io;
use std::time::Duration;

use backupwatch_backup::OpenError;
use backupwatch_core::{NoAnswer, Trust};
use backupwatch_wire::lockdown::{self, FrameTooLong, LockdownError};
use backupwatch_wire::{os_trace, usbmux};
use idevice::IdeviceError;

use crate::certificates::CertificateError;
use crate::library::LibraryError;
use crate::pair_record::PairRecordError;

/// Why usbmuxd could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    #[error("usbmuxd cannot be reached at {address}")]
    Unreachable {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("usbmuxd did not answer within {after:?}")]
    Silent { after: Duration },
    #[error("usbmuxd closed the connection")]
    Lost {
        #[source]
        source: io::Error,
    },
    #[error("usbmuxd does not speak its protocol")]
    Frame(#[source] usbmux::FrameError),
    #[error("usbmuxd sent something unreadable")]
    Message(#[source] usbmux::MessageError),
    #[error("usbmuxd answered {request} with {answer}")]
    Refused {
        request: &'static str,
        answer: String,
    },
}

/// Why usbmuxd or a phone could not be asked. The messages follow "failed to reach the phone: ".
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(transparent)]
    Mux(#[from] MuxError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("too many earlier questions to phones still wait for an answer")]
    Stuck,
    #[error("the phone is not attached (any more)")]
    NotAttached,
    #[error("nothing on the phone answers at port {port}")]
    PortClosed { port: u16 },
    #[error("this computer has no pair record of the phone")]
    NoPairRecord,
    #[error("the pair record of the phone is unusable; pair again to replace it")]
    PairRecord(#[source] PairRecordError),
    #[error("the connection was lost during {doing}")]
    Link {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("no answer to {doing} within {after:?}")]
    Silent {
        doing: &'static str,
        after: Duration,
    },
    #[error("the phone sent a message that is too long")]
    Frame(#[source] FrameTooLong),
    #[error("the phone's answer to {request} is unreadable")]
    Message {
        request: String,
        #[source]
        source: lockdown::MessageError,
    },
    #[error("the phone's answer to {request} does not fit")]
    Unexpected { request: String },
    #[error("the device is in a mode in which it cannot be asked")]
    NotInService,
    #[error("the phone refused {request}")]
    Refused {
        request: String,
        #[source]
        error: LockdownError,
    },
    #[error("the phone does not accept this computer's certificate")]
    TlsRefused {
        #[source]
        source: io::Error,
    },
    #[error("TLS could not be set up")]
    Tls {
        #[source]
        source: Box<IdeviceError>,
    },
    #[error("no certificates for a new pairing could be made")]
    Certificates(#[source] CertificateError),
    #[error("the phone's log is unreadable")]
    Log(#[source] os_trace::StreamError),
    #[error("the phone does not let this computer read its log")]
    LogRefused,
    #[error("it was cancelled")]
    Cancelled,
}

impl DeviceError {
    /// A failed read or write. In TLS 1.3 a phone that does not want our certificate says so only then, with an alert.
    pub(crate) fn link(doing: &'static str, source: io::Error) -> Self {
        let tls = source.get_ref().and_then(|inner| inner.downcast_ref());
        match tls {
            Some(rustls::Error::AlertReceived(_)) => Self::TlsRefused { source },
            _ => Self::Link { doing, source },
        }
    }

    /// Whether this says that the phone speaks otherwise than we do: a message that we cannot read, or a handshake for which the two
    /// sides have nothing in common. A refusal, a lock, distrust and a lost link say nothing of the kind, nor does silence.
    pub(crate) fn is_beyond_us(&self) -> bool {
        match self {
            Self::Frame(_) | Self::Message { .. } | Self::Unexpected { .. } | Self::Tls { .. } => {
                true
            }
            Self::Link { source, .. } | Self::TlsRefused { source } => (source.get_ref())
                .and_then(|inner| inner.downcast_ref())
                .is_some_and(nothing_in_common),
            Self::Mux(_)
            | Self::Library(_)
            | Self::Stuck
            | Self::NotAttached
            | Self::PortClosed { .. }
            | Self::NoPairRecord
            | Self::PairRecord(_)
            | Self::Silent { .. }
            | Self::NotInService
            | Self::Refused { .. }
            | Self::Certificates(_)
            | Self::Log(_)
            | Self::LogRefused
            | Self::Cancelled => false,
        }
    }

    /// Why a question that ended like this has no answer.
    #[must_use]
    pub fn no_answer(&self) -> NoAnswer {
        match self {
            Self::Mux(_)
            | Self::Library(_)
            | Self::Stuck
            | Self::NotAttached
            | Self::PortClosed { .. }
            | Self::Link { .. }
            | Self::Silent { .. }
            | Self::Tls { .. }
            | Self::Cancelled => NoAnswer::LinkLost,
            // A broken record is as good as none: pairing again cures both.
            Self::NoPairRecord
            | Self::PairRecord(_)
            | Self::TlsRefused { .. }
            | Self::Certificates(_) => NoAnswer::NotTrusted,
            Self::Frame(_)
            | Self::Message { .. }
            | Self::Unexpected { .. }
            | Self::Log(_)
            | Self::NotInService => NoAnswer::Unreadable {
                raw: self.to_string(),
            },
            Self::LogRefused => NoAnswer::Prohibited,
            Self::Refused { request, error } => refusal(request, error),
        }
    }

    /// What a session that failed like this says about trust; `None` where it says nothing.
    #[must_use]
    pub fn trust(&self) -> Option<Trust> {
        match self {
            Self::NoPairRecord | Self::PairRecord(_) => Some(Trust::NotTrusted),
            Self::TlsRefused { .. } => Some(Trust::Expired),
            Self::Refused { error, .. } => trust_of(error),
            Self::Mux(_)
            | Self::Library(_)
            | Self::Stuck
            | Self::NotAttached
            | Self::PortClosed { .. }
            | Self::Link { .. }
            | Self::Silent { .. }
            | Self::Frame(_)
            | Self::Message { .. }
            | Self::Unexpected { .. }
            | Self::Log(_)
            | Self::LogRefused
            | Self::NotInService
            | Self::Tls { .. }
            | Self::Certificates(_)
            | Self::Cancelled => None,
        }
    }

    /// Why a backup cannot begin. `service` is what was being started, if anything.
    #[must_use]
    pub fn open_error(self, service: Option<&str>) -> OpenError {
        match &self {
            Self::Mux(_) => OpenError::MuxDown(in_full(&self)),
            Self::NotAttached
            | Self::Stuck
            | Self::PortClosed { .. }
            | Self::Link { .. }
            | Self::Silent { .. } => OpenError::LinkLost,
            Self::NoPairRecord | Self::TlsRefused { .. } => OpenError::NotTrusted,
            Self::Refused { request, error } => match (refusal(request, error), service) {
                (NoAnswer::NotTrusted, _) => OpenError::NotTrusted,
                (NoAnswer::Locked, _) => OpenError::Locked,
                (NoAnswer::NeverUnlocked, _) => OpenError::NeverUnlocked,
                (NoAnswer::LinkLost, _) => OpenError::LinkLost,
                (NoAnswer::Prohibited, Some(service)) => OpenError::ServiceProhibited {
                    service: service.to_owned(),
                },
                (NoAnswer::Missing, Some(service)) => OpenError::ServiceMissing {
                    service: service.to_owned(),
                },
                (NoAnswer::Prohibited | NoAnswer::Missing | NoAnswer::Unreadable { .. }, _) => {
                    OpenError::Other(in_full(&self))
                }
            },
            Self::PairRecord(_)
            | Self::Library(_)
            | Self::Frame(_)
            | Self::Message { .. }
            | Self::Unexpected { .. }
            | Self::Log(_)
            | Self::LogRefused
            | Self::NotInService
            | Self::Tls { .. }
            | Self::Certificates(_)
            | Self::Cancelled => OpenError::Other(in_full(&self)),
        }
    }
}

/// Whether TLS failed for want of a common version or cipher, or over a message that rustls does not take; the alerts about
/// certificates are distrust.
fn nothing_in_common(error: &rustls::Error) -> bool {
    use rustls::{AlertDescription as Alert, Error};
    matches!(
        error,
        Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerIncompatible(_)
            | Error::PeerMisbehaved(_)
            | Error::InvalidCertificate(_)
            | Error::AlertReceived(
                Alert::ProtocolVersion
                    | Alert::HandshakeFailure
                    | Alert::InsufficientSecurity
                    | Alert::InappropriateFallback
                    | Alert::IllegalParameter
                    | Alert::DecodeError
                    | Alert::UnexpectedMessage
                    | Alert::MissingExtension
                    | Alert::UnsupportedExtension
                    | Alert::NoApplicationProtocol
            )
    )
}

/// The name of the request that `wire` calls `Request::StartSession`.
const START_SESSION: &str = "StartSession";

/// What each word means; protocol.md 4.2.
fn refusal(request: &str, error: &LockdownError) -> NoAnswer {
    match error {
        LockdownError::MissingValue
        | LockdownError::MissingKey
        | LockdownError::MissingService
        | LockdownError::InvalidService => NoAnswer::Missing,
        LockdownError::GetProhibited
        | LockdownError::SetProhibited
        | LockdownError::RemoveProhibited
        | LockdownError::ImmutableValue
        | LockdownError::ServiceProhibited
        | LockdownError::FMiPProtected
        | LockdownError::MCProtected
        | LockdownError::MCChallengeRequired => NoAnswer::Prohibited,
        // A phone that knows us opens a session behind its lock screen, too; only one that was never unlocked since it
        // started cannot read its own record of us.
        LockdownError::PasswordProtected if request == START_SESSION => NoAnswer::NeverUnlocked,
        LockdownError::PasswordProtected => NoAnswer::Locked,
        LockdownError::EscrowLocked => NoAnswer::NeverUnlocked,
        LockdownError::UserDeniedPairing
        | LockdownError::PairingDialogResponsePending
        | LockdownError::PairingProhibitedOverThisConnection
        | LockdownError::MissingHostID
        | LockdownError::InvalidHostID
        | LockdownError::MissingPairRecord
        | LockdownError::InvalidPairRecord
        | LockdownError::SavePairRecordFailed
        | LockdownError::SessionInactive
        | LockdownError::MissingSessionID
        | LockdownError::InvalidSessionID => NoAnswer::NotTrusted,
        LockdownError::InvalidResponse
        | LockdownError::SessionActive
        | LockdownError::ServiceLimit
        | LockdownError::InvalidActivationRecord
        | LockdownError::MissingActivationRecord
        | LockdownError::Other(_) => NoAnswer::Unreadable {
            raw: error.to_string(),
        },
    }
}

fn trust_of(error: &LockdownError) -> Option<Trust> {
    match error {
        LockdownError::UserDeniedPairing => Some(Trust::Denied),
        LockdownError::PairingDialogResponsePending => Some(Trust::DialogPending),
        LockdownError::PairingProhibitedOverThisConnection => Some(Trust::CableNeeded),
        LockdownError::MCProtected | LockdownError::MCChallengeRequired => {
            Some(Trust::ManagedForbids)
        }
        LockdownError::PasswordProtected => Some(Trust::LockedForPairing),
        LockdownError::InvalidHostID
        | LockdownError::MissingHostID
        | LockdownError::MissingPairRecord
        | LockdownError::InvalidPairRecord => Some(Trust::Expired),
        LockdownError::InvalidResponse
        | LockdownError::MissingKey
        | LockdownError::MissingValue
        | LockdownError::GetProhibited
        | LockdownError::SetProhibited
        | LockdownError::RemoveProhibited
        | LockdownError::ImmutableValue
        | LockdownError::SessionActive
        | LockdownError::SessionInactive
        | LockdownError::MissingSessionID
        | LockdownError::InvalidSessionID
        | LockdownError::MissingService
        | LockdownError::InvalidService
        | LockdownError::ServiceLimit
        | LockdownError::SavePairRecordFailed
        | LockdownError::InvalidActivationRecord
        | LockdownError::MissingActivationRecord
        | LockdownError::ServiceProhibited
        | LockdownError::EscrowLocked
        | LockdownError::FMiPProtected
        | LockdownError::Other(_) => None,
    }
}

/// The message with its causes, for the port's errors, which carry text.
fn in_full(error: &DeviceError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
