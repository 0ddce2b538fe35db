//! The words by which lockdownd refuses.
//!
//! Not here: what to tell the person. `docs/protocol/lockdown.md` says when a device uses which word.

use std::fmt::{self, Write as _};

/// Defines the enum and both directions of the table from one list, so that they cannot disagree.
macro_rules! lockdown_errors {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The `Error` of a reply.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum LockdownError {
            $($(#[$doc])* $name,)+
            /// A word that we do not know.
            Other(String),
        }

        impl LockdownError {
            /// Every word that we know.
            pub const KNOWN: &[Self] = &[$(Self::$name,)+];

            /// The word as it travels.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for LockdownError {
            fn from(word: &str) -> Self {
                match word {
                    $(stringify!($name) => Self::$name,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

lockdown_errors! {
    InvalidResponse,
    MissingKey,
    /// No such value, or none without a session.
    MissingValue,
    /// Not readable; most often because there is no session.
    GetProhibited,
    SetProhibited,
    RemoveProhibited,
    ImmutableValue,
    /// The device is locked, or was never unlocked since it started.
    PasswordProtected,
    /// Somebody tapped *Don't Trust*.
    UserDeniedPairing,
    /// The trust dialog is on the screen: ask again in a second.
    PairingDialogResponsePending,
    MissingHostID,
    /// The device does not know this host, or no longer.
    InvalidHostID,
    SessionActive,
    SessionInactive,
    MissingSessionID,
    InvalidSessionID,
    MissingService,
    InvalidService,
    ServiceLimit,
    MissingPairRecord,
    SavePairRecordFailed,
    InvalidPairRecord,
    InvalidActivationRecord,
    MissingActivationRecord,
    ServiceProhibited,
    /// The escrow bag does not open the device: it restarted and was not unlocked since.
    EscrowLocked,
    /// Pairing over Wi-Fi.
    PairingProhibitedOverThisConnection,
    FMiPProtected,
    /// A management profile forbids pairing.
    MCProtected,
    /// A management profile asks for the identity of the supervising host.
    MCChallengeRequired,
}

/// Longest part of an unknown word that is shown.
const SHOWN: usize = 64;

impl fmt::Display for LockdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device answered ")?;
        // Escaped and cut, because a device may have chosen the text, and a terminal or log shows it.
        let mut shown = self
            .as_str()
            .chars()
            .take(SHOWN)
            .flat_map(char::escape_debug);
        shown.try_for_each(|c| f.write_char(c))
    }
}

impl std::error::Error for LockdownError {}
