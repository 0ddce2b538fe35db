//! What the engine needs from the outside: a phone that can be reached, and a clock.
//!
//! Not here: how a phone is reached (usbmuxd, lockdown and TLS live in the `device` crate) and what is said on the streams
//! (that is [`crate::engine`]).

use std::future::Future;

use backupwatch_core::{HostTime, Udid};
use tokio::io::{AsyncRead, AsyncWrite};

/// How the engine reaches a phone: over usbmuxd in real life, in process in tests.
pub trait Phone: Sync {
    /// An authenticated byte stream to one service of the phone; TLS, where the phone wants it, is already inside.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    fn udid(&self) -> &Udid;

    /// One lockdown session: reads the values that Info.plist needs, starts the services (mobilebackup2 *with* the escrow
    /// bag, protocol.md 9.1), and ends the session: lockdownd drops an idle connection after about 10 s (4.1).
    fn open(&self) -> impl Future<Output = Result<Opened<Self::Stream>, OpenError>> + Send;
}

/// The services of one backup, freshly started; nothing has been said on any of them.
#[derive(Debug)]
pub struct Opened<S> {
    pub about: About,
    /// `com.apple.mobilebackup2`
    pub backup: S,
    /// `com.apple.mobile.notification_proxy`
    pub notifications: S,
    /// `com.apple.afc`
    pub afc: S,
    /// `com.apple.mobile.installation_proxy`; without it Info.plist names no installed application.
    pub apps: Option<S>,
    /// `com.apple.springboardservices`; without it Info.plist has no icons.
    pub icons: Option<S>,
}

/// Lockdown values as the phone gave them. They hold a phone number and an IMEI (Info.plist must have them), so there is
/// no `Debug` that shows them.
#[derive(Clone, Default)]
pub struct About {
    /// The root domain, whole.
    pub root: plist::Dictionary,
    /// `com.apple.iTunes`; empty where the phone has none.
    pub itunes: plist::Dictionary,
    /// `com.apple.mobile.iTunes`; only `MinITunesVersion` is used.
    pub mobile_itunes: plist::Dictionary,
    /// `com.apple.mobile.backup`
    pub backup_domain: plist::Dictionary,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("About")
            .field("root_keys", &self.root.len())
            .field("itunes_keys", &self.itunes.len())
            .field("mobile_itunes_keys", &self.mobile_itunes.len())
            .field("backup_domain_keys", &self.backup_domain.len())
            .finish()
    }
}

/// Why the services could not be started. The message follows "failed to reach the phone: ".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the phone does not trust this computer (any more)")]
    NotTrusted,
    #[error("the phone is locked")]
    Locked,
    #[error("the phone has not been unlocked since it was restarted")]
    NeverUnlocked,
    #[error("the connection to the phone was lost")]
    LinkLost,
    #[error("a management profile forbids {service}")]
    ServiceProhibited { service: String },
    #[error("the phone does not have {service}")]
    ServiceMissing { service: String },
    #[error("usbmuxd does not answer: {0}")]
    MuxDown(String),
    #[error("{0}")]
    Other(String),
}

/// The time of day; nothing below the agent reads a clock of its own.
pub trait Clock: Send + Sync {
    fn now(&self) -> HostTime;
}
