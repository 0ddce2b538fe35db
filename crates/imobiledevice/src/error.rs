//! What the C library answers, as its headers name it, and what that means.

use std::ffi::NulError;
use std::io;

/// Declares an error type of the C library: each number, its name in the header, and its meaning in plain words.
macro_rules! codes {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($variant:ident = $code:literal, $c_name:literal, $meaning:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $c_name, "`: ", $meaning, ".")] $variant,)*
            /// A number that neither version's header has.
            Other(i32),
        }

        impl $name {
            pub(crate) fn new(code: i32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// `Ok` for the number that says success.
            pub(crate) fn check(code: i32) -> Result<(), Self> {
                if code == 0 { Ok(()) } else { Err(Self::new(code)) }
            }

            /// The number that the C library gave.
            #[must_use]
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The name in the C header; `None` for a number that is not there.
            #[must_use]
            pub fn c_name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($c_name),)*
                    Self::Other(_) => None,
                }
            }

            /// What it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                    Self::Other(_) => "an error that these bindings do not know",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.c_name() {
                    Some(name) => write!(f, "{} ({name})", self.meaning()),
                    None => write!(f, "{} ({})", self.meaning(), self.code()),
                }
            }
        }

        impl std::error::Error for $name {}
    };
}

codes! {
    /// `idevice_error_t`: of finding a device and of connections to it.
    IdeviceError {
        InvalidArg = -1, "IDEVICE_E_INVALID_ARG", "the library was called with something that it does not take";
        Unknown = -2, "IDEVICE_E_UNKNOWN_ERROR", "the device or usbmuxd could not be reached";
        NoDevice = -3, "IDEVICE_E_NO_DEVICE", "the device is not attached, or usbmuxd is not running";
        NotEnoughData = -4, "IDEVICE_E_NOT_ENOUGH_DATA", "the connection ended within a message";
        ConnRefused = -5, "IDEVICE_E_CONNREFUSED", "nothing on the device answers at this port";
        Ssl = -6, "IDEVICE_E_SSL_ERROR", "TLS with the device failed";
        Timeout = -7, "IDEVICE_E_TIMEOUT", "the device did not answer in time";
    }
}

codes! {
    /// `lockdownd_error_t`: of the service that answers questions about the device, pairs, and starts other services.
    LockdownError {
        InvalidArg = -1, "LOCKDOWN_E_INVALID_ARG", "the library was called with something that it does not take";
        InvalidConf = -2, "LOCKDOWN_E_INVALID_CONF", "the pair record is missing, or lacks what is needed";
        Plist = -3, "LOCKDOWN_E_PLIST_ERROR", "the device's answer did not come or is unreadable";
        PairingFailed = -4, "LOCKDOWN_E_PAIRING_FAILED", "pairing failed";
        Ssl = -5, "LOCKDOWN_E_SSL_ERROR", "TLS with the device failed";
        Dict = -6, "LOCKDOWN_E_DICT_ERROR", "the device's answer is not of the form that is expected";
        ReceiveTimeout = -7, "LOCKDOWN_E_RECEIVE_TIMEOUT", "the device did not answer in time";
        Mux = -8, "LOCKDOWN_E_MUX_ERROR", "the connection to the device was refused or lost";
        NoRunningSession = -9, "LOCKDOWN_E_NO_RUNNING_SESSION", "this needs a session";
        InvalidResponse = -10, "LOCKDOWN_E_INVALID_RESPONSE", "the device calls the answer invalid";
        MissingKey = -11, "LOCKDOWN_E_MISSING_KEY", "the device misses a key in the question";
        MissingValue = -12, "LOCKDOWN_E_MISSING_VALUE", "the device has no such value";
        GetProhibited = -13, "LOCKDOWN_E_GET_PROHIBITED", "the device does not tell this value";
        SetProhibited = -14, "LOCKDOWN_E_SET_PROHIBITED", "the device does not let this value be set";
        RemoveProhibited = -15, "LOCKDOWN_E_REMOVE_PROHIBITED", "the device does not let this value be removed";
        ImmutableValue = -16, "LOCKDOWN_E_IMMUTABLE_VALUE", "the device does not let this value be changed";
        PasswordProtected = -17, "LOCKDOWN_E_PASSWORD_PROTECTED", "the device is locked";
        UserDeniedPairing = -18, "LOCKDOWN_E_USER_DENIED_PAIRING", "somebody tapped Don't Trust on the device";
        PairingDialogResponsePending = -19, "LOCKDOWN_E_PAIRING_DIALOG_RESPONSE_PENDING",
            "the device waits for somebody to tap Trust";
        MissingHostId = -20, "LOCKDOWN_E_MISSING_HOST_ID", "the device misses the host's identifier";
        InvalidHostId = -21, "LOCKDOWN_E_INVALID_HOST_ID", "the device does not trust this computer";
        SessionActive = -22, "LOCKDOWN_E_SESSION_ACTIVE", "a session is active already";
        SessionInactive = -23, "LOCKDOWN_E_SESSION_INACTIVE", "the session is not active";
        MissingSessionId = -24, "LOCKDOWN_E_MISSING_SESSION_ID", "the device misses the session's identifier";
        InvalidSessionId = -25, "LOCKDOWN_E_INVALID_SESSION_ID", "the device does not know the session";
        MissingService = -26, "LOCKDOWN_E_MISSING_SERVICE", "the device misses the name of a service";
        InvalidService = -27, "LOCKDOWN_E_INVALID_SERVICE", "the device has no such service";
        ServiceLimit = -28, "LOCKDOWN_E_SERVICE_LIMIT", "the device runs as many services as it allows";
        MissingPairRecord = -29, "LOCKDOWN_E_MISSING_PAIR_RECORD", "the device misses the pair record";
        SavePairRecordFailed = -30, "LOCKDOWN_E_SAVE_PAIR_RECORD_FAILED", "the device could not keep the pair record";
        InvalidPairRecord = -31, "LOCKDOWN_E_INVALID_PAIR_RECORD", "the device does not accept the pair record";
        InvalidActivationRecord = -32, "LOCKDOWN_E_INVALID_ACTIVATION_RECORD",
            "the device does not accept the activation record";
        MissingActivationRecord = -33, "LOCKDOWN_E_MISSING_ACTIVATION_RECORD", "the device misses the activation record";
        ServiceProhibited = -34, "LOCKDOWN_E_SERVICE_PROHIBITED", "the device does not start this service now";
        EscrowLocked = -35, "LOCKDOWN_E_ESCROW_LOCKED", "the device was not unlocked since it was started";
        PairingProhibitedOverThisConnection = -36, "LOCKDOWN_E_PAIRING_PROHIBITED_OVER_THIS_CONNECTION",
            "the device pairs over a cable only";
        FmipProtected = -37, "LOCKDOWN_E_FMIP_PROTECTED", "the device is protected by Find My";
        McProtected = -38, "LOCKDOWN_E_MC_PROTECTED", "the device's management does not allow this";
        McChallengeRequired = -39, "LOCKDOWN_E_MC_CHALLENGE_REQUIRED", "the device's management asks for a proof";
        Unknown = -256, "LOCKDOWN_E_UNKNOWN_ERROR", "the device answered with an error that the library does not know";
    }
}

codes! {
    /// `service_error_t`: of a started service.
    ServiceError {
        InvalidArg = -1, "SERVICE_E_INVALID_ARG", "the library was called with something that it does not take";
        Mux = -3, "SERVICE_E_MUX_ERROR", "the connection to the service was refused or lost";
        Ssl = -4, "SERVICE_E_SSL_ERROR", "TLS with the service failed";
        StartService = -5, "SERVICE_E_START_SERVICE_ERROR", "the service did not start";
        NotEnoughData = -6, "SERVICE_E_NOT_ENOUGH_DATA", "the connection ended within a message";
        Timeout = -7, "SERVICE_E_TIMEOUT", "the service did not answer in time";
        Unknown = -256, "SERVICE_E_UNKNOWN_ERROR", "the connection to the service failed";
    }
}

codes! {
    /// `afc_error_t`: of the device's file service.
    AfcError {
        Unknown = 1, "AFC_E_UNKNOWN_ERROR", "an unknown error";
        OpHeaderInvalid = 2, "AFC_E_OP_HEADER_INVALID", "the device calls the question malformed";
        NoResources = 3, "AFC_E_NO_RESOURCES", "the device has no resources left";
        Read = 4, "AFC_E_READ_ERROR", "the device could not read";
        Write = 5, "AFC_E_WRITE_ERROR", "the device could not write";
        UnknownPacketType = 6, "AFC_E_UNKNOWN_PACKET_TYPE", "the device does not know the question";
        InvalidArg = 7, "AFC_E_INVALID_ARG", "an argument is not accepted";
        ObjectNotFound = 8, "AFC_E_OBJECT_NOT_FOUND", "there is no such file";
        ObjectIsDir = 9, "AFC_E_OBJECT_IS_DIR", "this is a folder";
        PermDenied = 10, "AFC_E_PERM_DENIED", "the device does not permit it";
        ServiceNotConnected = 11, "AFC_E_SERVICE_NOT_CONNECTED", "the service is not connected";
        OpTimeout = 12, "AFC_E_OP_TIMEOUT", "it took too long";
        TooMuchData = 13, "AFC_E_TOO_MUCH_DATA", "this is more than the device takes";
        EndOfData = 14, "AFC_E_END_OF_DATA", "there is no more";
        OpNotSupported = 15, "AFC_E_OP_NOT_SUPPORTED", "the device does not support it";
        ObjectExists = 16, "AFC_E_OBJECT_EXISTS", "there is such a file already";
        ObjectBusy = 17, "AFC_E_OBJECT_BUSY", "the file is in use";
        NoSpaceLeft = 18, "AFC_E_NO_SPACE_LEFT", "the device is full";
        OpWouldBlock = 19, "AFC_E_OP_WOULD_BLOCK", "somebody else holds the lock";
        Io = 20, "AFC_E_IO_ERROR", "the device's storage failed";
        OpInterrupted = 21, "AFC_E_OP_INTERRUPTED", "it was interrupted";
        OpInProgress = 22, "AFC_E_OP_IN_PROGRESS", "it is going on already";
        Internal = 23, "AFC_E_INTERNAL_ERROR", "the device failed within";
        Mux = 30, "AFC_E_MUX_ERROR", "the connection to the service was refused or lost";
        NoMem = 31, "AFC_E_NO_MEM", "no memory is left";
        NotEnoughData = 32, "AFC_E_NOT_ENOUGH_DATA", "the connection ended within a message";
        DirNotEmpty = 33, "AFC_E_DIR_NOT_EMPTY", "the folder is not empty";
    }
}

codes! {
    /// `np_error_t`: of the service that tells what happens on the device.
    NotificationError {
        InvalidArg = -1, "NP_E_INVALID_ARG", "the library was called with something that it does not take";
        Plist = -2, "NP_E_PLIST_ERROR", "the device's message is unreadable";
        ConnFailed = -3, "NP_E_CONN_FAILED", "the connection to the service was refused or lost";
        Unknown = -256, "NP_E_UNKNOWN_ERROR", "an unknown error";
    }
}

/// Everything that can go wrong between a program, the C library and a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device or a connection to it.
    #[error(transparent)]
    Idevice(#[from] IdeviceError),
    /// lockdownd.
    #[error(transparent)]
    Lockdown(#[from] LockdownError),
    /// A started service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The file service.
    #[error(transparent)]
    Afc(#[from] AfcError),
    /// The notification proxy.
    #[error(transparent)]
    Notification(#[from] NotificationError),
    /// A session needs a pair record, and usbmuxd has none of this device. Nobody was asked.
    #[error("this computer has no pair record of the device")]
    NoPairRecord,
    /// The pair record that usbmuxd has is of another pairing than the one that was named.
    #[error("the pair record that usbmuxd keeps is not the one that was asked for")]
    OtherPairRecord,
    /// 1.3 would pair with such a device unasked, so it is never let near one.
    #[error("the device is too old, or does not tell its version")]
    VersionUnknown,
    /// 1.3 knows one subscription per process.
    #[error("this version of the library takes one subscription at a time, and there is one")]
    AlreadySubscribed,
    /// A word for the C library has a NUL within.
    #[error("a name has a NUL within")]
    Nul(#[from] NulError),
    /// A value of the device that is larger than any that is known.
    #[error("a value of {bytes} bytes is more than is taken from a device")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// A value that did not pass from the C library to us or the other way.
    #[error("a value of the device is unreadable")]
    Unreadable(#[source] plist::Error),
    /// The C library waits with `select`, which writes out of bounds beyond descriptor 1023.
    #[error(
        "the program has too many files open for the library: it takes descriptors below {limit}"
    )]
    TooManyFiles {
        /// The first descriptor that is refused.
        limit: i32,
    },
    /// The operating system refused something.
    #[error("the operating system refused")]
    Io(#[from] io::Error),
}
